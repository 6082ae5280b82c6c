// The apps of apps.py on Node's own servers: `node node_peer.mjs APP [PORT]`. The rows hold here
// too, which shows that they are true.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server as Engine } from "engine.io";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const QUICK = { pingInterval: 300, pingTimeout: 200 };
const LENIENT = { pingInterval: 300, pingTimeout: 10000 };
const ANYBODY = { cors: { origin: "*" } };
const ALLOWED_ORIGIN = "https://app.example";

function echo(http, options) {
  const engine = new Engine(options);
  engine.attach(http, { path: "/engine.io/" });
  engine.on("connection", (socket) => {
    socket.on("message", (data) => socket.send(data));
  });
  return () => engine.close();
}

function addEchoHandlers(io) {
  io.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
    socket.on("message", (...args) => socket.emit("message-back", ...args));
    socket.on("message-with-ack", (...args) => args.pop()(...args));
  });
  io.of("/custom").on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
  });
}

function addMeetingHandlers(io) {
  const rooms = (socket) => [...socket.rooms].filter((room) => room !== socket.id).sort();
  for (const namespace of [io.of("/"), io.of("/chat")]) {
    namespace.on("connection", (socket) => {
      socket.on("join", (...args) => {
        const done = args.pop();
        socket.join(args);
        done(rooms(socket));
      });
      socket.on("leave", (room, done) => {
        socket.leave(room);
        done(rooms(socket));
      });
      socket.on("tell-others", (room, ...args) => {
        const done = args.pop();
        socket.to(room).emit("told", ...args);
        done(true);
      });
      socket.on("tell-all", (names, ...args) => {
        const done = args.pop();
        namespace.to(names).emit("told", ...args);
        done(true);
      });
      socket.on("tell-except", (room, ...args) => {
        const done = args.pop();
        namespace.except(room).emit("told", ...args);
        done(true);
      });
      socket.on("ask-me", async (...args) => {
        const done = args.pop();
        done(await socket.timeout(5000).emitWithAck("question", ...args));
      });
      socket.on("ask-room", (room, seconds, ...args) => {
        const done = args.pop();
        namespace.to(room).timeout(seconds * 1000).emit("question", ...args, (error, values) => {
          done({ values, missing: error !== null });
        });
      });
      socket.on("kick-me", (close) => socket.disconnect(close));
      socket.on("disconnect", (reason) => {
        namespace.to("watchers").emit("gone", socket.handshake.auth.name, reason);
      });
    });
  }
  io.of("/chat").on("connection", (socket) => {
    socket.on("message-with-ack", (...args) => args.pop()(...args));
  });
  io.on("connection", (socket) => {
    let number = 0;
    let timer;
    socket.on("count", () => {
      timer = setInterval(() => socket.emit("number", number++), 1);
    });
    socket.on("stop", () => {
      clearInterval(timer);
      socket.emit("counted", number);
    });
    socket.on("disconnect", () => clearInterval(timer));
  });
}

function addDoor(io) {
  const failures = [];
  io.engine.opts.allowRequest = (request, done) => {
    const banned = new URL(request.url, "http://any").searchParams.has("banned");
    done(banned ? "you are banned" : null, !banned);
  };
  io.engine.generateId = async () => `door-${randomUUID()}`;
  io.engine.on("connection_error", (failure) => failures.push(failure.code));
  io.engine.on("initial_headers", (headers, request) => {
    headers["X-Initial"] = request._query.transport;
    headers["Set-Cookie"] = "seen=yes";
  });
  io.engine.on("headers", (headers, request) => {
    headers["X-Every"] = request._query.transport;
  });
  io.on("connection", (socket) => {
    socket.on("failures", (done) => done([...failures]));
  });
}

function addHandlers(io) {
  const namespace = io.of("/handlers");
  const org = io.of(/^\/org-\w+$/);
  const rooms = [];
  for (const event of ["create", "join", "leave", "delete"]) {
    namespace.adapter.on(`${event}-room`, (room) => rooms.push(`${event} ${room}`));
  }
  namespace.on("connection", (socket) => {
    const seen = [];
    const heard = [];
    const errors = [];
    socket.on("error", (error) => errors.push(error.message));
    socket.use((packet, done) => {
      seen.push(`use ${packet[0]}`);
      if (packet[0] === "muted") return done(new Error("muted: be quiet"));
      if (packet[0] === "change") packet[1] = "after";
      done();
    });
    socket.onAny((event) => seen.push(`any ${event}`));
    socket.prependAny((event) => seen.push(`first ${event}`));
    socket.on("order", (text, done) => done([...seen, `on ${text}`]));
    socket.on("change", (text, done) => done(text));
    socket.on("errors", (done) => done(errors));
    const late = (done) => done("on");
    socket.once("once", (done) => {
      socket.on("once", late);
      done("once");
    });
    const off = (done) => {
      socket.off("off", off);
      socket.on("off", late);
      done("off");
    };
    socket.on("off", off);
    socket.on("outgoing", (text, done) => {
      socket.onAnyOutgoing((event, ...args) => heard.push([event, ...args]));
      namespace.emit("told", text);
      done();
    });
    socket.on("heard", (done) => done(heard));
    socket.on("rooms", (done) => {
      rooms.length = 0;
      socket.join("tea");
      socket.leave("tea");
      done(rooms);
    });
    socket.on("tell", (room, done) => {
      org.to(room).emit("staff", "staff");
      org.emit("all", "all");
      done();
    });
  });
  org.on("connection", (socket) => {
    socket.on("join", (room, done) => {
      socket.join(room);
      done();
    });
  });
}

function addTraps(io) {
  // Without these, one that throws ends the process.
  process.on("uncaughtException", () => {});
  process.on("unhandledRejection", () => {});
  io.engine.opts.allowRequest = (request, done) => {
    done(null, !new URL(request.url, "http://any").searchParams.has("banned"));
  };
  io.of((name, auth, next) => {
    if (name !== "/never") next(null, false);
  });
  io.on("connection", (socket) => {
    socket.on("echo", (text, done) => done(text));
    socket.on("fail", (done) => {
      throw new Error("swordfish");
    });
    socket.on("join", (room, done) => {
      socket.join(room);
      done(true);
    });
    socket.on("leave-own", (done) => {
      socket.leave(socket.id);
      done(socket.rooms.has(socket.id));
    });
    socket.on("tell", (rooms, text) => io.to(rooms).emit("told", text));
    socket.on("tell-others", (room, text) => socket.to(room).emit("told", text));
    socket.on("tell-me", (text) => socket.emit("told", text));
  });
  io.of("/greeting").use((socket, next) => {
    socket.emit("session", "before");
    next("refuse" in socket.handshake.auth ? new Error("no") : undefined);
  });
  io.of("/failing").use(async () => {
    throw new Error("the database has gone");
  });
}

function socketIO(http, options, ...handlers) {
  const io = new Server(http, options);
  for (const add of handlers) add(io);
  return () => io.close();
}

const APPS = {
  engine: (http) => echo(http, { ...QUICK, ...ANYBODY }),
  "calm-engine": (http) => echo(http, ANYBODY),
  "lenient-engine": (http) => echo(http, { ...LENIENT, ...ANYBODY }),
  "guarded-engine": (http) => echo(http, { cors: { origin: [ALLOWED_ORIGIN] }, cookie: true }),
  broker: (http) =>
    socketIO(http, { ...QUICK, ...ANYBODY, connectTimeout: 1000 }, addEchoHandlers),
  "calm-broker": (http) => socketIO(http, ANYBODY, addEchoHandlers),
  door: (http) => socketIO(http, { ...LENIENT, ...ANYBODY }, addEchoHandlers, addDoor),
  "calm-msgpack": (http) => socketIO(http, { ...ANYBODY, parser: msgpack }, addEchoHandlers),
  meeting: (http) =>
    socketIO(http, { ...LENIENT, ...ANYBODY }, addEchoHandlers, addMeetingHandlers),
  "msgpack-meeting": (http) =>
    socketIO(
      http,
      { ...LENIENT, ...ANYBODY, parser: msgpack },
      addEchoHandlers,
      addMeetingHandlers,
    ),
  handlers: (http) => socketIO(http, { ...LENIENT, ...ANYBODY }, addHandlers),
  traps: (http) => socketIO(http, { connectTimeout: 1000 }, addTraps),
  "deflated-meeting": (http) =>
    socketIO(
      http,
      { ...LENIENT, ...ANYBODY, perMessageDeflate: true },
      addEchoHandlers,
      addMeetingHandlers,
    ),
};

const [app, port = "0"] = process.argv.slice(2);
const http = createServer((_, response) => response.writeHead(404).end());
const close = APPS[app](http);
http.listen(Number(port), "127.0.0.1", () => console.log("listening", http.address().port));
process.on("SIGTERM", () => {
  close();
  http.close();
  http.closeAllConnections();
  // A websocket that closes may take its time to; nobody waits for it here.
  setTimeout(() => process.exit(0), 100).unref();
});
