// The benchmark's server with socket.io on Bun's own engine; as atrio.py does it.
import { Server as Engine } from "@socket.io/bun-engine";
import engine_package from "@socket.io/bun-engine/package.json";
import { Server } from "socket.io";
import { version } from "socket.io/package.json";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);

io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("bcast", (text) => io.to("bench").emit("msg", text));
  socket.on("echo", (text, ack) => ack(text));
});

const server = Bun.serve({ ...engine.handler(), hostname: "127.0.0.1", port: 0 });
const what = `socket.io ${version}, bun-engine ${engine_package.version}, Bun ${Bun.version}`;
console.log(JSON.stringify({ port: server.port, version: what }));
