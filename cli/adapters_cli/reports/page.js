"use strict";
(() => {
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);
  root.classList.add("scripted");

  const theme = find("theme");
  theme.addEventListener("change", () => { root.dataset.theme = theme.value; });
  root.dataset.theme = theme.value;

  const packed = find("data");
  if (packed === null) return;

  const PAGE = 25;
  const LONG = 1200;
  const subject = find("subject");
  const list = find("list");
  const count = find("count");
  const controls = find("controls");
  const settings = {};
  for (const id of ["search", "order", "metric", "show", "against", "missing"]) settings[id] = find(id);

  let names, metrics, items, texts, found = [], start = 0;

  const chosen = () => (subject === null ? 1 : Number(subject.value) + 1);
  const score = (value) => {
    if (value === null) return "\u2013";
    const text = Math.abs(value).toFixed(Math.abs(value) < 10 ? 3 : 1);
    return value < 0 && Number(text) > 0 ? `\u2212${text}` : text;
  };
  const gain = (value) => (value > 0 && Number(score(value)) > 0 ? "+" : "") + score(value);
  const seconds = (value) => (value < 1 ? `${Math.round(1000 * value)}\u00a0ms` : `${value.toFixed(2)}\u00a0s`);

  function element(name, className, ...content) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...content.filter((part) => part !== null));
    return made;
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob(packed.textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const data = await new Response(stream).json();
    names = data.names;
    metrics = data.metrics;
    texts = data.texts;
    items = data.items.map(([id, prompt, reference, answers], place) => ({
      id, prompt, reference, place,
      answers: answers.map(([text, error, time, tokens, scores, mean, sides, ofReference, ofBase, judged]) => (
        { text, error, time, tokens, scores, mean, sides, judged, marks: { reference: ofReference, base: ofBase, nothing: [] } }
      )),
    }));
  }

  // Numbers of an item, by the metric that is chosen.
  const metricOf = () => (settings.metric.value === "all" ? null : Number(settings.metric.value));

  function gainOf(item) {
    const metric = metricOf();
    const [base, mine] = [item.answers[0], item.answers[chosen()]];
    if (metric === null) return mine.mean;
    if (base.scores[metric] === null || mine.scores[metric] === null) return null;
    return metrics[metric].sign * (mine.scores[metric] - base.scores[metric]);
  }

  function levelOf(item) {
    const metric = metricOf();
    const scores = item.answers[chosen()].scores
      .map((value, place) => (value === null ? null : metrics[place].sign * value / metrics[place].scale))
      .filter((value, place) => value !== null && (metric === null || metric === place));
    return scores.length === 0 ? null : scores.reduce((sum, value) => sum + value, 0) / scores.length;
  }

  const ORDERS = {
    worst: (item) => gainOf(item),
    best: (item) => negative(gainOf(item)),
    lowest: (item) => levelOf(item),
    highest: (item) => negative(levelOf(item)),
    slowest: (item) => negative(item.answers[chosen()].time),
    dataset: (item) => item.place,
  };
  const negative = (value) => (value === null ? null : -value);

  // Failed answers are the worst ones; items without a number are last.
  function key(item) {
    const order = settings.order.value;
    if (item.answers[chosen()].error !== null && (order === "worst" || order === "lowest")) return -Infinity;
    return ORDERS[order](item) ?? Infinity;
  }

  const SHOWN = {
    all: () => true,
    worse: (item) => gainOf(item) < 0,
    better: (item) => gainOf(item) > 0,
    sides: (item) => {
      const [metric, sides] = [metricOf(), item.answers[chosen()].sides];
      return metric === null ? sides.length > 0 : sides.includes(metric);
    },
    errors: (item) => item.answers[0].error !== null || item.answers[chosen()].error !== null,
  };

  const words = () => settings.search.value.toLowerCase().split(/\s+/).filter(Boolean);

  function select() {
    const searched = words();
    const matches = (item) => {
      if (searched.length === 0) return true;
      const answers = [item.answers[0], item.answers[chosen()]];
      const text = [item.id, item.prompt, item.reference, ...answers.flatMap((a) => [a.text, a.error ?? ""])];
      const whole = text.join("\n").toLowerCase();
      return searched.every((word) => whole.includes(word));
    };
    found = items
      .filter((item) => SHOWN[settings.show.value](item) && matches(item))
      .map((item) => [key(item), item])
      .sort(([one, first], [other, second]) => (one === other ? first.place - second.place : one < other ? -1 : 1))
      .map(([, item]) => item);
    start = 0;
    draw();
  }

  // Texts: only text nodes, so that no text of a model or a customer is ever read as HTML.
  function highlighted(text, searched) {
    const parts = [];
    const lower = text.toLowerCase();
    if (searched.length === 0 || lower.length !== text.length) return [text];
    let done = 0;
    while (done < text.length) {
      let next = null;
      for (const word of searched) {
        const at = lower.indexOf(word, done);
        if (at >= 0 && (next === null || at < next[0])) next = [at, word.length];
      }
      if (next === null) break;
      parts.push(text.slice(done, next[0]), element("mark", "", text.slice(next[0], next[0] + next[1])));
      done = next[0] + next[1];
    }
    parts.push(text.slice(done));
    return parts;
  }

  function marked(text, other, lengths, searched) {
    if (lengths.length === 0) return highlighted(text, searched);
    const parts = [];
    let [here, there] = [0, 0];
    lengths.forEach((length, place) => {
      if (length === 0) return;
      if (place % 3 === 1) {
        parts.push(element("del", "", other.slice(there, there + length)));
        there += length;
        return;
      }
      const content = highlighted(text.slice(here, here + length), searched);
      here += length;
      if (place % 3 === 0) {
        there += length;
        parts.push(...content);
      } else {
        parts.push(element("ins", "", ...content));
      }
    });
    return parts;
  }

  function block(title, kind, note, text, content) {
    const heading = element("h4", "", element("bdi", "", title), note ? element("span", "note", note) : null);
    const shown = element("p", "text");
    shown.dir = "auto";
    const made = element("div", `block ${kind}`, heading, shown);
    if (text.length <= LONG) {
      shown.append(...content(text));
      return made;
    }
    const button = element("button", "");
    button.type = "button";
    const set = (open) => {
      button.textContent = open ? "Show less" : `Show all ${text.length.toLocaleString("en")} characters`;
      button.setAttribute("aria-expanded", String(open));
      shown.replaceChildren(...(open ? content(text) : [text.slice(0, LONG / 2).replace(/[\ud800-\udbff]$/, ""), " \u2026"]));
    };
    button.addEventListener("click", () => set(button.getAttribute("aria-expanded") !== "true"));
    set(false);
    made.append(button);
    return made;
  }

  function answer(item, number, searched) {
    const { text, error, time, tokens, marks } = item.answers[number];
    const kind = number === 0 ? "base" : "subject";
    if (error !== null) return block(names[number], `${kind} error`, "error", error, (all) => highlighted(all, searched));
    const facts = [];
    if (time !== null) facts.push(seconds(time));
    if (tokens !== null) facts.push(`${tokens} token${tokens === 1 ? "" : "s"}`);
    const against = settings.against.value;
    const other = against === "base" ? item.answers[0].text : item.reference;
    const content = (all) => (all === "" && marks[against].length === 0 ? ["(an empty answer)"] : marked(all, other, marks[against], searched));
    return block(names[number], kind, facts.join(", "), text, content);
  }

  function scoreTable(item) {
    const head = element("tr", "", element("td", ""));
    for (const name of [names[0], names[chosen()]]) {
      const cell = element("th", "", element("bdi", "", name));
      cell.scope = "col";
      head.append(cell);
    }
    const last = element("th", "", "gain");
    last.scope = "col";
    head.append(last);
    const body = element("tbody", "");
    metrics.forEach(({ title, sign }, place) => {
      const [base, mine] = [item.answers[0].scores[place], item.answers[chosen()].scores[place]];
      const difference = base === null || mine === null ? null : mine - base;
      const kind = sign * difference > 0 ? "better" : sign * difference < 0 ? "worse" : "";
      const heading = element("th", "", title);
      heading.scope = "row";
      body.append(element("tr", "", heading, element("td", "", score(base)), element("td", "", score(mine)),
        element("td", kind, difference === null ? "\u2013" : gain(difference))));
    });
    return element("table", "scores", element("thead", "", head), body);
  }

  function card(item, number) {
    const searched = words();
    const mine = item.answers[chosen()];
    const heading = element("h3", "", element("span", "", `${number}. `, element("bdi", "", item.id)));
    const value = gainOf(item);
    const metric = metricOf();
    const of = metric === null ? "mean gain" : `${metrics[metric].title} gain`;
    if (value !== null) heading.append(element("span", `chip ${value > 0 ? "better" : value < 0 ? "worse" : ""}`, `${of} ${gain(value)}`));
    if (mine.error !== null || item.answers[0].error !== null) heading.append(element("span", "chip failed", "error"));
    if (mine.sides.length > 0) {
      const places = mine.sides.map((side) => metrics[side].title).join(", ");
      heading.append(element("span", "chip", `changed sides: ${places}`));
    }
    for (const words of mine.judged) heading.append(element("span", "chip", words));
    if (!texts) return element("article", "item", heading, scoreTable(item));
    const plain = (text) => highlighted(text === "" ? "(empty)" : text, searched);
    const asked = element("div", "asked", block("Prompt", "", "", item.prompt, plain),
      item.reference === "" ? null : block("Reference", "reference", "", item.reference, plain));
    return element("article", "item", heading, element("div", "texts", asked,
      answer(item, 0, searched), answer(item, chosen(), searched), scoreTable(item)));
  }

  function draw() {
    const end = Math.min(start + PAGE, found.length);
    list.replaceChildren(...found.slice(start, end).map((item, place) => card(item, start + place + 1)));
    if (found.length === 0) list.append(element("p", "none", "No item matches."));
    const of = found.length === items.length ? "items" : `items found, of ${items.length.toLocaleString("en")}`;
    count.textContent = found.length === 0
      ? `0 of ${items.length.toLocaleString("en")} items`
      : `${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${found.length.toLocaleString("en")} ${of}`;
    find("previous").disabled = start === 0;
    find("next").disabled = end === found.length;
    const against = settings.against.selectedOptions[0].text;
    if (texts) {
      document.querySelector(".marks").hidden = settings.against.value === "nothing";
      document.querySelector(".marks .against").textContent = against;
    }
    root.classList.toggle("missing", settings.missing.checked);
  }

  function turn(pages) {
    start += pages * PAGE;
    draw();
    // A button that is disabled would lose the focus.
    const [pressed, other] = pages > 0 ? ["next", "previous"] : ["previous", "next"];
    if (find(pressed).disabled) find(other).focus();
    controls.scrollIntoView();
  }

  function choose() {
    for (const part of document.querySelectorAll("[data-subject]")) {
      part.hidden = Number(part.dataset.subject) !== chosen() - 1;
    }
    select();
  }

  let waiting;
  settings.search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(select, 120); });
  for (const id of ["order", "metric", "show"]) settings[id].addEventListener("change", select);
  for (const id of ["against", "missing"]) settings[id].addEventListener("change", draw);
  controls.addEventListener("submit", (event) => event.preventDefault());
  find("previous").addEventListener("click", () => turn(-1));
  find("next").addEventListener("click", () => turn(1));
  if (subject !== null) subject.addEventListener("change", choose);

  unpack().then(choose, () => {
    root.classList.remove("scripted");
    count.textContent = "";
  });
})();
