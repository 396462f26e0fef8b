// Change the greeting and press Run: the program reloads, the address stays.
const http = require("node:http");

const greeting = "Hello from a server";
let requests = 0;

http.createServer((request, response) => {
  ++requests;
  console.log(`${request.method} ${request.url}`);
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(`<!doctype html><title>Server</title><h1>${greeting}</h1><p>Request ${requests}</p>`);
}).listen(process.env.PORT, () => console.log("listening"));
