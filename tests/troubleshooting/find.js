// A field on the page: who pastes an error with their own names and numbers in it gets the entries that it has.
// Each entry: the address, the title, and its texts, each as the parts between what differs every time.
(() => {
  const entries = ENTRIES;
  const place = document.getElementById("find-error");
  if (!place) return;

  // The longest text of an entry whose parts are all in the line, in their order; 0 if there is none.
  const longest = (line, texts) => {
    let most = 0;
    for (const parts of texts) {
      let at = 0;
      for (const part of parts) {
        at = at < 0 ? at : line.indexOf(part, at);
        at = at < 0 ? at : at + part.length;
      }
      if (at >= 0) most = Math.max(most, parts.join("").length);
    }
    return most;
  };

  const label = document.createElement("label");
  label.htmlFor = "error-line";
  label.textContent = "Paste the whole line of the error:";
  const field = document.createElement("textarea");
  field.id = "error-line";
  field.rows = 3;
  field.style.cssText =
    "display:block;box-sizing:border-box;width:100%;padding:.4rem;font:inherit;color:inherit;" +
    "background:transparent;border:1px solid currentColor;border-radius:.2rem";
  const list = document.createElement("ol");
  list.setAttribute("aria-live", "polite");
  field.addEventListener("input", () => {
    const line = field.value.replace(/\s+/g, " ");
    const found = entries
      .map(([address, title, texts]) => [longest(line, texts), address, title])
      .filter(([length]) => length > 5)
      .sort((one, other) => other[0] - one[0])
      // A text such as "… should be …, got …" is in most lines. Beside a much longer one it only misleads.
      .filter(([length], _, all) => length * 3 > all[0][0])
      .slice(0, 5);
    list.replaceChildren(
      ...found.map(([, address, title]) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = address;
        link.textContent = title;
        item.append(link);
        return item;
      }),
    );
    if (line.trim() && !found.length) list.replaceChildren("No entry has this text. Try the search.");
  });
  place.append(label, field, list);
})();
