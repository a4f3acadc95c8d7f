#pragma once
#include <nats/nats.h>

#include <memory>
#include <string_view>

// nats.c's handles as types. Internal to adapters/nats.
namespace sluice::nats {

template <auto Destroy> struct destroyer {
    template <class T> void operator()(T* handle) const noexcept { Destroy(handle); }
};

using options_handle = std::unique_ptr<natsOptions, destroyer<natsOptions_Destroy>>;
using connection_handle = std::unique_ptr<natsConnection, destroyer<natsConnection_Destroy>>;
using subscription_handle = std::unique_ptr<natsSubscription, destroyer<natsSubscription_Destroy>>;
using message_handle = std::unique_ptr<natsMsg, destroyer<natsMsg_Destroy>>;

inline std::string_view payload_of(const natsMsg& message)
{
    return {natsMsg_GetData(&message), static_cast<std::size_t>(natsMsg_GetDataLength(&message))};
}

inline std::string_view text_of(const char* text) { return text ? std::string_view(text) : std::string_view(); }

}
