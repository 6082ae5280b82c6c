// A node of a cluster, Node's own adapter on a Redis that is none: `node cluster_node.mjs FORMAT
// [OPTIONS]`. It takes commands as JSON lines, and says as JSON lines what it publishes, what its
// sockets get, and what came of it. Bytes are `{"$bytes": base64}`, both ways.

import { createInterface } from "node:readline";
import { EventEmitter } from "node:events";
import redisAdapter from "@socket.io/redis-adapter";
import redisEmitter from "@socket.io/redis-emitter";
import streamsAdapter from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";
import { meant, say } from "./cluster_words.mjs";

const [format, options = "{}"] = process.argv.slice(2);

const settled = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
};

// The Redis: it says what is written, and hears what it is told. One for all clients.

const listeners = new Map(); // channel or pattern -> function
const streams = new Map(); // stream -> entries
const kept = new Map(); // key -> value
const woken = new EventEmitter();
woken.setMaxListeners(0);
let lastId = 0;

function listen(kind, channels, listener) {
  for (const channel of [channels].flat()) {
    listeners.set(channel, listener);
    say({ listens: kind, channel });
  }
}

function publish(kind, channel, data) {
  say({ published: kind, channel, data: Buffer.from(data) });
  return Promise.resolve(2);
}

function append(stream, message) {
  const id = `${++lastId}-0`;
  streams.set(stream, [...(streams.get(stream) ?? []), { id, message }]);
  woken.emit("entry");
  return id;
}

async function read(stream, after) {
  const from = after === "$" ? lastId : parseInt(after);
  for (;;) {
    const messages = (streams.get(stream) ?? []).filter(({ id }) => parseInt(id) > from);
    if (messages.length) return [{ messages }];
    await new Promise((resolve) => woken.once("entry", resolve));
  }
}

class Redis extends EventEmitter {
  duplicate = () => new Redis();
  connect = async () => {};
  disconnect() {}
  pSubscribe = (patterns, listener) => listen("pattern", patterns, listener);
  subscribe = (channels, listener) => listen("channel", channels, listener);
  sSubscribe = (channels, listener) => listen("sharded", channels, listener);
  sUnsubscribe = (channel) => listeners.delete(channel) && say({ leaves: channel });
  publish = (channel, data) => publish("plain", channel, data);
  sPublish = (channel, data) => publish("sharded", channel, data);
  sendCommand = async ([, command, channel]) => {
    say({ counts: command, channel });
    return [channel, 2];
  };
  xAdd = async (stream, _id, message) => {
    say({ appended: stream, fields: message });
    return append(stream, message);
  };
  xRead = ([{ key, id }]) => read(key, id);
  xRange = async (stream, from, to) =>
    (streams.get(stream) ?? []).filter(({ id }) =>
      from === to ? id === from : parseInt(id) > parseInt(from),
    );
  set = async (key, value, { PX }) => {
    kept.set(key, value);
    say({ kept: key, value, milliseconds: PX });
  };
  multi = () => {
    const results = [];
    const commands = {
      get: (key) => results.push(kept.get(key) ?? null) && commands,
      del: (key) => results.push(Number(kept.delete(key))) && commands,
      exec: async () => results,
    };
    return commands;
  };
}

function inject(channel, data) {
  for (const [name, listener] of listeners) {
    if (name === channel || (name.endsWith("*") && channel.startsWith(name.slice(0, -1)))) {
      listener(data, channel);
    }
  }
}

// The server, and sockets that nobody connected.

const redis = new Redis();
const given = JSON.parse(options);
const adapters = {
  classic: () => redisAdapter.createAdapter(redis, new Redis(), given),
  sharded: () => redisAdapter.createShardedAdapter(redis, new Redis(), given),
  streams: () => streamsAdapter.createAdapter(redis, given),
};
const io = new Server({
  adapter: adapters[format](),
  ...(format === "streams" ? { connectionStateRecovery: {} } : {}),
});
const emitter = new redisEmitter.Emitter(redis);
const namespaces = new Map();

function namespaceOf(name) {
  if (!namespaces.has(name)) {
    const namespace = io.of(name);
    namespaces.set(name, namespace);
    namespace.on("asked", (...args) => {
      const answer = args.pop();
      say({ heard: ["asked", ...args] });
      answer(args[0]);
    });
    namespace.on("told", (...args) => say({ heard: ["told", ...args] }));
  }
  return namespaces.get(name);
}

function addSocket(namespace, { id, rooms = [], data = {} }) {
  const { adapter } = namespace;
  namespace.sockets.set(id, {
    id,
    data: meant(data),
    handshake: { headers: { host: "x" }, auth: {}, sessionStore: 1 },
    acks: new Map(),
    get rooms() {
      return adapter.socketRooms(id) ?? new Set();
    },
    client: {
      writeToEngine: (packets, { volatile, compress }) =>
        say({ sent: id, packets, volatile, compress }),
    },
    join: (rooms) => adapter.addAll(id, new Set([rooms].flat())),
    leave: (room) => adapter.del(id, room),
    disconnect: (close) => say({ disconnected: id, close }),
  });
  adapter.addAll(id, new Set([id, ...rooms]));
}

function aimed(namespace, { rooms = [], except = [], volatile, compress, timeout }) {
  let target = namespace.to(meant(rooms)).except(except);
  if (volatile) target = target.volatile;
  if (compress !== undefined) target = target.compress(compress);
  return timeout === undefined ? target : target.timeout(timeout);
}

const result = (promise) =>
  promise.then(
    (value) => say({ result: value }),
    (error) => say({ result: error, responses: error.responses }),
  );
const told = ({ id, handshake, rooms, data }) => ({ id, handshake, rooms, data });

const commands = {
  nothing: () => {},
  socket: (command, namespace) => addSocket(namespace, command),
  rooms: ({ id }, namespace) => say({ rooms: namespace.sockets.get(id).rooms }),
  ack: ({ id, values }, namespace) =>
    [...namespace.sockets.get(id).acks.values()].at(-1)(...meant(values)),
  emit: (command, namespace) => aimed(namespace, command).emit(...meant(command.args)),
  ask: (command, namespace) =>
    void result(aimed(namespace, command).emitWithAck(...meant(command.args))),
  join: (command, namespace) => aimed(namespace, command).socketsJoin(command.into),
  leave: (command, namespace) => aimed(namespace, command).socketsLeave(command.from),
  disconnect: (command, namespace) => aimed(namespace, command).disconnectSockets(command.close),
  fetch: (command, namespace) =>
    void result(aimed(namespace, command).fetchSockets().then((all) => all.map(told))),
  allRooms: (_, namespace) => void result(namespace.adapter.allRooms()),
  tellServers: ({ args }, namespace) => void namespace.serverSideEmit(...meant(args)),
  askServers: ({ args }, namespace) =>
    void result(namespace.serverSideEmitWithAck(...meant(args))),
  inject: ({ channel, data }) => inject(channel, meant(data)),
  entry: ({ stream, fields }) => say({ offset: append(stream, fields) }),
  persist: ({ session }, namespace) => namespace.adapter.persistSession(meant(session)),
  keep: ({ key, value }) => kept.set(key, value),
  restore: ({ pid, offset }, namespace) =>
    void result(Promise.resolve(namespace.adapter.restoreSession(pid, offset))),
};

const emitting = {
  emit: (command, target) => target.emit(...meant(command.args)),
  join: (command, target) => target.socketsJoin(command.into),
  leave: (command, target) => target.socketsLeave(command.from),
  disconnect: (command, target) => target.disconnectSockets(command.close),
};

function emitFrom(command) {
  const namespace = emitter.of(command.namespace);
  if (command.emitter === "tellServers") namespace.serverSideEmit(...meant(command.args));
  else emitting[command.emitter](command, aimed(namespace, command));
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.emitter) emitFrom(command);
  else commands[command.do](command, namespaceOf(command.namespace ?? "/chat"));
  await settled();
  say({ done: true });
}
process.exit(0);
