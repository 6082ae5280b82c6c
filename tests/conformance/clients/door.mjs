// What a server decides at the handshake, and what it does to its answers.

import { Fetch, NodeWebSocket } from "socket.io-client";
import { client, connected, next, scenario, settled, transportOf, transports } from "./scenario.mjs";

const TEXT = "abc".repeat(10_000);

// This client polls as a browser does: it takes compressed answers, and shows their headers.
const kinds = transports.map((name) => (name === "polling" ? Fetch : NodeWebSocket));

const answers = [];
const fetched = globalThis.fetch;
globalThis.fetch = async (...args) => {
  const answer = await fetched(...args);
  answers.push(answer.headers);
  return answer;
};

// The headers of the first answer: of a poll, or of the websocket's 101.
function firstHeaders(socket) {
  if (transports[0] === "polling") return () => (name) => answers[0].get(name);
  let headers;
  socket.io.engine.transport.ws.on("upgrade", (answer) => (headers = answer.headers));
  return () => (name) => headers[name];
}

await scenario(async () => {
  const socket = client({ transports: kinds });
  const first = firstHeaders(socket);
  await connected(socket);
  const header = first();
  const seen = {
    id: socket.io.engine.id,
    initial: header("x-initial"),
    every: header("x-every"),
    cookie: header("set-cookie")?.toString(),
  };
  await settled(socket);
  answers.length = 0;
  seen.asked = (await socket.emitWithAck("message-with-ack", TEXT)) === TEXT;
  seen.transport = transportOf(socket);
  seen.codings = answers.map((headers) => headers.get("content-encoding")).filter(Boolean);
  seen.later = answers.map((headers) => [headers.get("x-initial"), headers.get("x-every")]);

  const banned = client({ transports: kinds, query: { banned: "yes" } });
  const [error] = await next(banned, "connect_error");
  seen.refusal = error.message;
  seen.status = error.description?.message ?? error.description;
  seen.body = error.context instanceof Response ? await error.context.json() : null;
  seen.failures = await socket.emitWithAck("failures");
  socket.disconnect();
  banned.disconnect();
  return seen;
});
