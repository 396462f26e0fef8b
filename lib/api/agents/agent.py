"""Uses sandboxd's tools as an agent does, without a library: python3 agent.py http://localhost:8080"""
import json, sys, urllib.request

if len(sys.argv) != 2 or not sys.argv[1].startswith(("http://", "https://")):
    print("usage: python3 agent.py URL, such as http://localhost:8080", file=sys.stderr)
    sys.exit(2)
URL = sys.argv[1] + "/mcp"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}

def ask(method, **params):
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
              "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": params.get("name", "")}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    with urllib.request.urlopen(urllib.request.Request(URL, json.dumps(body).encode(), fields)) as answer:
        return json.load(answer)["result"]

print([tool["name"] for tool in ask("tools/list")["tools"]])
run = ask("tools/call", name="run_program",
          arguments={"runtime": "python", "code": "print(sum(map(int, input().split())))", "stdin": "20 22\n"})
print(run["structuredContent"]["stdout"], end="")
