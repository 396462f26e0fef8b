const page = `<!doctype html>
<title>Echo</title>
<body style="font-family: sans-serif">
<h1>WebSocket echo</h1>
<form><label>Say <input value="hello"></label> <button>Send</button></form>
<pre id="log"></pre>
<script>
const log = document.querySelector("#log");
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "socket");
const send = () => socket.send(document.querySelector("input").value);
socket.onopen = send;
socket.onmessage = (event) => { log.textContent += event.data + "\\n"; };
document.querySelector("form").onsubmit = (event) => { event.preventDefault(); send(); };
</script>`;

Bun.serve({
  port: process.env.PORT,
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response(page, { headers: { "Content-Type": "text/html; charset=utf-8" } });
  },
  websocket: {
    message(socket, text) {
      console.log("echoed", text);
      socket.send(`echo: ${text}`);
    },
  },
});
console.log("listening");
