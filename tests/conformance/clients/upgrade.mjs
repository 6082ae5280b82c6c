// Numbered messages both ways while the transport changes: none lost, none twice, none out of turn.

import { NodeWebSocket, NodeXHR } from "socket.io-client";
import { client, connected, fail, mode, next, scenario, transportOf } from "./scenario.mjs";

// How many messages come back before the upgrade begins, and how many are sent after it.
const BEFORE = 50;
const AFTERWARDS = 100;

let allowUpgrade;
const upgradeAllowed = new Promise((allow) => (allowUpgrade = allow));

// A websocket that opens when there is traffic.
class LateWebSocket extends NodeWebSocket {
  doOpen() {
    upgradeAllowed.then(() => super.doOpen());
  }
}

await scenario(async () => {
  const socket = client(mode === "upgrade" ? { transports: [NodeXHR, LateWebSocket] } : {});
  const numbers = [];
  const echoes = [];
  let sent = 0;
  let afterwards = 0;
  let upgraded = mode !== "upgrade";
  let atUpgrade = null;

  socket.on("disconnect", (reason) => fail(`disconnected: ${reason}`));
  socket.on("number", (number) => numbers.push(number));
  socket.on("message-back", (number) => echoes.push(number));
  await connected(socket);
  const startedOn = transportOf(socket);
  socket.io.engine.once("upgrade", () => {
    upgraded = true;
    atUpgrade = { sent, numbers: numbers.length, echoes: echoes.length };
  });
  socket.emit("count");

  // A message per turn of the loop and never more than some without an echo, so that there is
  // traffic at every moment and no heap of it.
  await new Promise((done) => {
    const turn = () => {
      if (echoes.length >= BEFORE && numbers.length >= BEFORE) allowUpgrade();
      if (sent - echoes.length < 50) {
        socket.emit("message", sent++);
        if (upgraded) afterwards++;
      }
      if (afterwards >= AFTERWARDS) done();
      else setTimeout(turn, 1);
    };
    turn();
  });
  const counted = next(socket, "counted");
  socket.emit("stop");
  const [total] = await counted;
  await socket.emitWithAck("message-with-ack", "all echoes came before this");
  socket.off("disconnect");
  const seen = { startedOn, endedOn: transportOf(socket), sent, echoes, total, numbers, atUpgrade };
  socket.disconnect();
  return seen;
});
