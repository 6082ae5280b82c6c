// What the scenarios share: their arguments, waiting with a deadline, and telling what was seen.

import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";

export const [url, mode, parserName = "json"] = process.argv.slice(2);

export const parser = parserName === "msgpack" ? msgpack : undefined;

export const transports = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
}[mode];

const DEADLINE = 40_000;
const waiting = new Set();

// A client of its own connection; `namespace` is "/" or "/name".
export function client(options = {}, namespace = "/") {
  return io(url + namespace, { transports, parser, forceNew: true, reconnection: false, ...options });
}

// Wait until `emitter` emits `event`; resolves with the arguments.
export function next(emitter, event) {
  const wait = { event };
  waiting.add(wait);
  return new Promise((resolve) => {
    emitter.once(event, (...args) => {
      waiting.delete(wait);
      resolve(args);
    });
  });
}

// Wait until a socket is connected, and in mode upgrade over to its websocket.
export async function connected(socket) {
  if (!socket.connected) {
    socket.once("connect_error", (error) => fail(`connect_error: ${error.message}`));
    await next(socket, "connect");
    socket.off("connect_error");
  }
  return socket;
}

export async function settled(socket) {
  await connected(socket);
  const { engine } = socket.io;
  if (mode === "upgrade" && engine.transport.name !== "websocket") await next(engine, "upgrade");
  return socket;
}

export function transportOf(socket) {
  return socket.io.engine.transport.name;
}

export function say(seen) {
  process.stdout.write(JSON.stringify(seen) + "\n");
}

export function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

// Run a scenario and say what it returns.
export async function scenario(run) {
  setTimeout(() => {
    fail(`too slow; waits for ${JSON.stringify([...waiting].map((wait) => wait.event))}`);
  }, DEADLINE).unref();
  try {
    say(await run());
  } catch (error) {
    fail(error.stack);
  }
  // It ends by itself: a client that has left keeps nothing open.
}
