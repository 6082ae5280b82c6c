// A room is asked: one client answers with bytes, one is silent, one goes.

import { client, connected, scenario, settled } from "./scenario.mjs";

const BYTES = Buffer.from([0, 1, 2, 255]);

await scenario(async () => {
  const host = await connected(client());
  const people = {};
  for (const name of ["ann", "bob", "cid"]) {
    people[name] = await connected(client({ auth: { name } }));
    await people[name].emitWithAck("join", "asked");
  }
  const answering = {
    ann: (question, done) => done({ name: "ann", question, bytes: BYTES }),
    bob: (question, done) => question === "all" && done("bob"),
    cid: (question, done) => (question === "all" ? done(["cid", 1]) : people.cid.disconnect()),
  };
  for (const [name, answer] of Object.entries(answering)) people[name].on("question", answer);

  async function ask(question, seconds, room = "asked") {
    const start = performance.now();
    const { values, missing } = await host.emitWithAck("ask-room", room, seconds, question);
    const took = (performance.now() - start) / 1000;
    for (const value of values) {
      if (value.bytes) value.bytes = BYTES.equals(Buffer.from(value.bytes));
    }
    const first = (value) => value.name ?? [value].flat()[0];
    values.sort((a, b) => first(a).localeCompare(first(b)));
    return { values, missing, took };
  }

  const seen = { all: await ask("all", 20) };
  for (const socket of [host, ...Object.values(people)]) await settled(socket);
  seen.again = await ask("all", 20);
  seen.some = await ask("some", 0.5);
  await people.bob.emitWithAck("leave", "asked");
  await people.cid.connect();
  await connected(people.cid);
  await people.cid.emitWithAck("join", "asked");
  seen.oneGoes = await ask("go", 2);
  seen.nobody = await ask("all", 20, "nobody");
  for (const socket of [host, ...Object.values(people)]) socket.disconnect();
  return seen;
});
