// The benchmark's server with Node's own socket.io; as atrio.py does it.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";

const { version } = createRequire(import.meta.url)("socket.io/package.json");
const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("bcast", (text) => io.to("bench").emit("msg", text));
  socket.on("echo", (text, ack) => ack(text));
});

http.listen(0, "127.0.0.1", 2048, () => {
  const what = `socket.io ${version}, Node ${process.versions.node}`;
  console.log(JSON.stringify({ port: http.address().port, version: what }));
});
