// The chat page in a browser: `node page.mjs SCENARIO URL CHROMIUM`.
//
// Each line it prints is JSON: `{"step": …}` where the test has something to do meanwhile, and in
// the end all that was seen. When a wait was in vain, it says on stderr which, and fails.

import { talk } from "./page_talk.mjs";
import { views } from "./page_views.mjs";
import { closeAll } from "./page_visitor.mjs";

const print = (value) => console.log(JSON.stringify(value));

const [scenario, url] = process.argv.slice(2);
try {
  print(await { ...talk, ...views }[scenario](url, (step) => print({ step })));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await closeAll();
}
