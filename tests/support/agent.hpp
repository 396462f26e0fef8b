// Messages as agents send them to POST /mcp.
#pragma once

#include "support/http_client.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <utility>

namespace sandboxd::test::agent {

inline constexpr const char* now = "2026-07-28";
inline constexpr const char* before = "2025-11-25";
inline constexpr const char* both = "application/json, text/event-stream";

// What a stateless request says of itself.
inline boost::json::object meta()
{
    return {{"io.modelcontextprotocol/protocolVersion", now},
            {"io.modelcontextprotocol/clientCapabilities", boost::json::object{}}};
}

inline boost::json::object message(const boost::json::value& id, const std::string& method, boost::json::object params)
{
    return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
}

// The fields of a stateless request.
inline header_list fields(const std::string& method, const std::string& name = {})
{
    header_list all{{"Accept", both}, {"MCP-Protocol-Version", now}, {"Mcp-Method", method}};
    if (!name.empty()) all.emplace_back("Mcp-Name", name);
    return all;
}

// Those of 2025-11-25.
inline header_list session_fields(const std::string& session)
{
    header_list all{{"Accept", both}, {"MCP-Protocol-Version", before}};
    if (!session.empty()) all.emplace_back("Mcp-Session-Id", session);
    return all;
}

// A stateless request with all that its revision demands.
inline http_answer ask(http_client& client, const std::string& method, boost::json::object params = {},
                       const header_list& more = {})
{
    auto all = fields(method);
    for (const auto* name : {"name", "uri"})
        if (const auto* const value = params.if_contains(name))
            all.emplace_back("Mcp-Name", std::string{value->as_string()});
    all.insert(all.end(), more.begin(), more.end());
    if (!params.contains("_meta")) params["_meta"] = meta();
    return client.post("/mcp", message(1, method, std::move(params)), all);
}

// A request as bytes, to be sent without waiting for its answer.
inline std::string as_bytes(const std::string& body, const header_list& fields)
{
    std::string request = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for (const auto& [name, value] : fields) request += name + ": " + value + "\r\n";
    return request + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
inline std::string as_bytes(const boost::json::object& body, const header_list& fields)
{
    return as_bytes(boost::json::serialize(body), fields);
}

}  // namespace sandboxd::test::agent
