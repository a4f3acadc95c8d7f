#pragma once
#include "sluice/function.hpp"
#include "sluice/http.hpp"

#include <string>
#include <string_view>

namespace sluice::core {

// Adds what a classic function is told of its request: Http_Method, Http_Path, Http_Query, Http_Host, Http_ContentLength and
// Http_<Field_Name> for the first value of each header field (OpenFaaS's classic watchdog, which also names fields as Go does:
// "x-call-id" becomes Http_X_Call_Id). Fields between us and the watchdog are left out, and so is "Proxy", because programs read
// Http_Proxy as a proxy's address.
void add_cgi_environment(string_map& environment, const http_request& request);

}
