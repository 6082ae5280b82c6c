// How well a page can be read: the contrast (WCAG 2, 1.4.3) of every text that is shown in it.

/** Returns `{text, contrast, part}` for each text on the page, its pseudo elements included. */
export function contrasts(page) {
  return page.evaluate(() => {
    const parse = (colour) => {
      const found = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(colour);
      if (!found) throw new Error(`cannot read the colour ${colour}`);
      return found.slice(1).map((part) => (part === undefined ? 1 : Number(part)));
    };
    const over = ([r, g, b, alpha], below) =>
      [r, g, b].map((part, index) => part * alpha + below[index] * (1 - alpha));
    const luminance = (colour) => {
      const [r, g, b] = colour.map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
      const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (light + 0.05) / (dark + 0.05);
    };
    /** The element and those around it, from the outermost in. */
    const around = (node) => (node ? [...around(node.parentElement), node] : []);
    // An opacity mixes text and ground alike with what is below; the text loses by it.
    const measure = (style, node) => {
      let ground = [255, 255, 255];
      let opacity = 1;
      for (const outer of around(node)) {
        const { backgroundColor, opacity: own } = getComputedStyle(outer);
        ground = over(parse(backgroundColor), ground);
        opacity *= Number(own);
      }
      if (style.content !== "normal") ground = over(parse(style.backgroundColor), ground);
      const [r, g, b, alpha] = parse(style.color);
      return ratio(over([r, g, b, alpha * opacity], ground), ground);
    };
    const all = [];
    const note = (text, style, node, part) => {
      if (!text.trim() || !node.checkVisibility({ visibilityProperty: true })) return;
      if (style.clipPath !== "none" || style.display === "none") return; // for those who listen
      all.push({ text: text.trim(), contrast: measure(style, node), part });
    };
    for (const node of document.body.querySelectorAll("*")) {
      const own = node.closest("[data-own=true]") ? "own " : "";
      const name = node.className || node.dataset.testid || "";
      const part = `${own}${node.tagName.toLowerCase()}.${name}`;
      for (const child of node.childNodes) {
        if (child.nodeType === Node.TEXT_NODE) {
          note(child.textContent, getComputedStyle(node), node, part);
        }
      }
      for (const pseudo of ["::before", "::after"]) {
        const style = getComputedStyle(node, pseudo);
        const written = /^"([^"]+)"/.exec(style.content)?.[1] ?? "";
        note(written, style, node, part + pseudo);
      }
      if (node.placeholder && !node.value) {
        note(node.placeholder, getComputedStyle(node, "::placeholder"), node, "placeholder");
      }
      const isText = !["checkbox", "range"].includes(node.type);
      if (node.value && isText) note(node.value, getComputedStyle(node), node, part);
    }
    return all;
  });
}
