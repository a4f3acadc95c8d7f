#pragma once
#include "sluice/function.hpp"

#include <boost/system/result.hpp>
#include <string>
#include <string_view>

// JSON of functions, namespaces and endpoints: OpenFaaS's wire types at the API and in the KV buckets. Pure.
namespace sluice::core {

// Which field of the input is wrong, and why, in words for whoever sent it.
struct field_error {
    std::string field;
    std::string message;
};
template <class T> using parsed = boost::system::result<T, field_error>;

// The body of POST and PUT /system/functions (FunctionDeployment). Unknown fields are ignored, as OpenFaaS does; wrong types, bad names
// and values beyond the bounds are errors.
parsed<function_spec> parse_deployment(std::string_view json);

// The body of DELETE /system/functions (DeleteFunctionRequest), and of POST and PUT /system/namespace (FunctionNamespace).
parsed<function_name> parse_delete_request(std::string_view json);
parsed<namespace_spec> parse_namespace(std::string_view json);

// What the KV buckets hold. Reading refuses a newer "version".
std::string encode(const function_spec& spec);
parsed<function_spec> decode_function(std::string_view json);
std::string encode(const function_endpoints& endpoints);
parsed<function_endpoints> decode_endpoints(std::string_view json);
std::string encode(const namespace_spec& space);
parsed<namespace_spec> decode_namespace(std::string_view json);

// FunctionStatus, as GET /system/function(s) answers. A function in trouble has a field of our own, which OpenFaaS's clients ignore:
// "status": {"state": "failing" (nothing is ready) or "degraded", "reason", "restarts"}.
std::string status_json(const function_spec& spec, const function_endpoints* endpoints, double invocation_count);
// FunctionNamespace, as GET /system/namespace/NAME answers.
std::string namespace_json(const namespace_spec& space);

}
