// A server of Node's on a real Redis, and real clients of it: `node redis_node.mjs URL OPTIONS`. It
// takes commands as JSON lines; each is answered by a line with its number, and what clients get is
// said in lines of its own.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import redisAdapter from "@socket.io/redis-adapter";
import redisEmitter from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { meant, say } from "./cluster_words.mjs";

const [url, options] = process.argv.slice(2);
const given = JSON.parse(options);

const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: redisAdapter.createAdapter(publisher, subscriber, given) });
const emitter = new redisEmitter.Emitter(publisher, { key: given.key });
await new Promise((done) => http.listen(0, "127.0.0.1", done));

const chat = io.of("/chat");
chat.on("connection", (socket) => {
  socket.data = { name: socket.handshake.auth.name };
});
chat.on("told", (...args) => say({ told: args }));
chat.on("asked", (...args) => args.pop()(args[0]));

// `server`: whose client it is; without it, this one's.
async function client({ name, server }) {
  const at = server ?? `http://127.0.0.1:${http.address().port}`;
  const socket = connect(`${at}/chat`, { auth: { name } });
  socket.onAny((event, ...args) => {
    const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
    say({ client: name, got: [event, ...args] });
    if (answer && event !== "silence") answer(args[0]);
  });
  socket.on("disconnect", (reason) => say({ client: name, got: ["disconnect", reason] }));
  await new Promise((done) => socket.on("connect", done));
  return socket.id;
}

function aimed(from, { rooms = [], except = [], local, timeout }) {
  let target = from.to(rooms).except(except);
  if (local) target = target.local;
  return timeout === undefined ? target : target.timeout(timeout);
}

const told = ({ id, rooms, data, handshake }) => ({ id, rooms, data, auth: handshake.auth });

const commands = {
  client,
  rooms: ({ id }) => chat.sockets.get(id)?.rooms ?? [],
  emitMany: ({ many }, from) => {
    for (let number = 0; number < many; number++) from.emit("event", number);
  },
  emit: (command, from) => void aimed(from, command).emit(...meant(command.args)),
  ask: (command, from) => aimed(from, command).emitWithAck(...meant(command.args)),
  fetch: async (command, from) => (await aimed(from, command).fetchSockets()).map(told),
  join: (command, from) => void aimed(from, command).socketsJoin(command.into),
  leave: (command, from) => void aimed(from, command).socketsLeave(command.from),
  disconnect: (command, from) => void aimed(from, command).disconnectSockets(command.close),
  tellServers: ({ args }, from) => void from.serverSideEmit(...meant(args)),
  askServers: ({ args }, from) => from.serverSideEmitWithAck(...meant(args)),
  allRooms: (_, from) => from.adapter.allRooms(),
};

async function answer(command) {
  const from = command.by === "emitter" ? emitter.of("/chat") : chat;
  try {
    say({ number: command.number, result: (await commands[command.do](command, from)) ?? null });
  } catch (error) {
    say({ number: command.number, failed: error.message, responses: error.responses ?? null });
  }
}

// Redis tells the adapter's subscriptions in their order, so this one is the last to be there.
await subscriber.subscribe(`${given.key}-ready`, () => {});
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) void answer(JSON.parse(line));
process.exit(0);
