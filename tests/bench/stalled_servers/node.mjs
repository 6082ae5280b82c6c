// The same on Node's own server: `node node.mjs FOLDER`, whose node_modules hold socket.io.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Server } = createRequire(process.argv[2])("socket.io");
const http = createServer();
const io = new Server(http, { pingInterval: 300_000 });
io.on("connection", (socket) => socket.join("all"));
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function send({ count, size, rate }) {
  const pad = "x".repeat(size);
  const start = now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor((now() - start) * rate));
    for (; sent < due; sent++) io.to("all").emit("tick", now(), pad);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

http.listen(0, "127.0.0.1", async () => {
  console.log(http.address().port);
  for await (const line of createInterface({ input: process.stdin })) {
    await send(JSON.parse(line));
    console.log("done");
  }
  process.exit(0);
});
