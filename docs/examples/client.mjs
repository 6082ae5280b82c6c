// A Node client of chat_in_thirty_lines.py: `npm install socket.io-client`, `node client.mjs`.
import { io } from "socket.io-client";

const url = process.argv[2] ?? "http://127.0.0.1:3000";
const chat = io(`${url}/chat`, { auth: { name: "Nora" } });

chat.on("connect_error", (error) => {
  console.error(error.message);
  process.exit(1);
});
chat.on("message", (name, text) => console.log(`${name}: ${text}`));

// An ack is what the handler returned; a refusal is {error: {code, message}}.
const users = await chat.emitWithAck("switchRoom", "general");
if (users.error) throw new Error(users.error.message);
console.log("in general");

const accepted = await chat.emitWithAck("message", "hello");
console.log(`acknowledged: ${accepted}`);
chat.disconnect();
