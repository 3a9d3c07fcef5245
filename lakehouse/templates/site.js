"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const [panel, trace, steps, search, found] = ["panel", "trace", "steps", "search", "found"].map(byId);
  root.classList.add("js");

  // -- the graph -----------------------------------------------------------------------------------

  const inputs = new Map(), outputs = new Map();
  const push = (map, key, value) => (map.get(key) ?? map.set(key, []).get(key)).push(value);
  for (const [out, from, kind] of data.edges) {
    push(inputs, out, { id: from, kind });
    push(outputs, from, { id: out, kind });
  }
  const tableOf = (id) => data.nodes[id][0];
  const isRows = (id) => id.endsWith(".*");
  const href = (id) => "#" + encodeURIComponent(isRows(id) ? tableOf(id) : id);
  const called = (table) => (data.tables[table][0] === "files" ? data.tables[table][1] : table);
  const isField = (id) => data.tables[tableOf(id)][0] === "files";
  function nameOf(id) {
    if (isRows(id)) return "rows of " + called(tableOf(id));
    return isField(id) ? `${called(tableOf(id))}, field ${data.nodes[id][1]}` : tableOf(id) + "." + data.nodes[id][1];
  }

  /** Every column on a way from this one, and the edges between them as [nearer, farther, kind]. */
  function reach(id, next) {
    const seen = new Set([id]), edges = [], waiting = [id];
    while (waiting.length) {
      const near = waiting.pop();
      for (const { id: far, kind } of next.get(near) ?? []) {
        edges.push([near, far, kind]);
        if (!seen.has(far)) { seen.add(far); waiting.push(far); }
      }
    }
    return { nodes: [...seen], edges };
  }

  /** How many tables lie between a table and the others on the longest way over the edges. */
  function distances(table, edges) {
    const far = new Map([[table, 0]]);
    for (let moved = true; moved; ) {
      moved = false;
      for (const [a, b] of edges) {
        const step = far.get(a) + 1;
        if (!(far.get(b) >= step)) { far.set(b, step); moved = true; }
      }
    }
    return far;
  }

  /** The column of the picture in which each table stands: files left, what is made of them right. */
  function ranks(table, edges, backwards) {
    if (!backwards) return distances(table, edges);
    const rank = new Map(), given = new Map();
    for (const [a, b] of edges) push(given, a, b);
    const high = (name) => {
      if (!rank.has(name)) rank.set(name, 1 + Math.max(-1, ...(given.get(name) ?? []).map(high)));
      return rank.get(name);
    };
    high(table);
    for (const [, b] of edges) {
      // What nothing is known behind stands beside what is made of it.
      if (!given.has(b)) rank.set(b, Math.min(...edges.filter(([, other]) => other === b).map(([a]) => rank.get(a))) - 1);
    }
    return rank;
  }

  // -- a column's way, as a picture and step by step -----------------------------------------------

  const [ROW, HEAD, SPACE, GAP, LANE] = [20, 22, 14, 44, 6];
  function svg(name, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  /** Boxes of tables with the columns on the way, the place of each column, and for each edge the free
      lanes that its line takes past other boxes, from its nearer end to the farther one. */
  function placed(graph, rank, backwards) {
    const levels = [], lanes = new Map(), nearer = new Map();
    for (const id of graph.nodes) push((levels[rank.get(tableOf(id))] ??= new Map()), tableOf(id), id);
    for (const edge of graph.edges) {
      const [a, b] = edge.slice(0, 2).map(tableOf), free = [];
      const step = Math.sign(rank.get(b) - rank.get(a));
      for (let at = rank.get(a) + step; at !== rank.get(b); at += step) {
        const lane = [...edge, at].join(" ");
        levels[at].set(lane, null);
        push(nearer, lane, free.at(-1) ?? a);
        free.push(lane);
      }
      push(nearer, b, free.at(-1) ?? a);
      lanes.set(edge, free);
    }
    const high = (ids) => (ids ? HEAD + ids.length * ROW : LANE);
    const height = (level) => [...level.values()].reduce((sum, ids) => sum + high(ids) + SPACE, -SPACE);
    const tall = Math.max(...levels.map(height));
    const wide = levels.map((level) => Math.max(...[...level].flatMap(([table, ids]) => (ids
      ? [called(table), ...ids.map((id) => data.nodes[id][1])].map((text) => text.length * 7 + 20) : [0]))));
    const left = wide.map((_, at) => wide.slice(0, at).reduce((sum, width) => sum + width + GAP, 0));
    const middle = new Map(), boxes = [], cells = new Map();
    const mean = (name) => {
      const known = (nearer.get(name) ?? []).map((t) => middle.get(t)).filter((y) => y !== undefined);
      return known.length ? known.reduce((a, b) => a + b) / known.length : 0;
    };
    const order = levels.map((_, at) => at);
    for (const at of backwards ? order.reverse() : order) {
      let y = (tall - height(levels[at])) / 2;
      for (const [name, ids] of [...levels[at]].sort((a, b) => mean(a[0]) - mean(b[0]) || a[0].localeCompare(b[0]))) {
        const box = { table: name, x: left[at], y, width: wide[at], height: high(ids) };
        middle.set(name, y + box.height / 2);
        cells.set(name, { ...box, y: y + (LANE - ROW) / 2 });
        if (ids) boxes.push(box);
        (ids ?? []).forEach((id, nth) => cells.set(id, { ...box, y: y + HEAD + nth * ROW }));
        y += box.height + SPACE;
      }
    }
    return { boxes, cells, lanes, width: left.at(-1) + wide.at(-1), height: tall };
  }

  /** A line through places from left to right: from the right edge of each to the left of the next. */
  function wire(places) {
    let [{ x, y, width }, ...others] = places;
    let path = `M${x + width},${y + ROW / 2}`;
    for (const next of others) {
      const bend = (x + width + next.x) / 2;
      path += ` C${bend},${y + ROW / 2} ${bend},${next.y + ROW / 2} ${next.x},${next.y + ROW / 2}`;
      if (next !== others.at(-1)) path += ` H${next.x + next.width}`;
      ({ x, y, width } = next);
    }
    return path;
  }

  function draw(id, graph, rank, backwards) {
    const { boxes, cells, lanes, width, height } = placed(graph, rank, backwards);
    const picture = svg("svg", { viewBox: `-2 -2 ${width + 4} ${height + 4}`, style: `min-width: ${0.7 * width}px; max-width: ${width + 4}px`, role: "group", "aria-label": "The way of the column" });
    for (const edge of graph.edges) {
      const [near, far, kind] = edge, way = [near, ...lanes.get(edge), far];
      const weak = kind === "conditional" || kind === "window" ? " weak" : "";
      const path = wire((backwards ? way.reverse() : way).map((name) => cells.get(name)));
      picture.append(svg("path", { class: "wire" + weak, d: path }, svg("title", {}, data.words[kind])));
    }
    for (const box of boxes) {
      const head = svg("text", { class: "head", x: box.x + 10, y: box.y + 15 }, called(box.table));
      const stripe = svg("rect", { class: "stripe", x: box.x, y: box.y, width: 4, height: box.height, rx: 2 });
      const frame = svg("rect", { class: "frame-of", x: box.x, y: box.y, width: box.width, height: box.height, rx: 4 });
      picture.append(svg("g", { class: data.tables[box.table][0] }, frame, stripe, head));
    }
    for (const node of graph.nodes) {
      const cell = cells.get(node);
      const link = svg("a", { class: node === id ? "cell chosen" : "cell", href: href(node), "data-node": node });
      link.append(
        svg("title", {}, data.nodes[node][3]),
        svg("rect", { x: cell.x + 5, y: cell.y + 1, width: cell.width - 6, height: ROW - 2, rx: 3 }),
        svg("text", { x: cell.x + 10, y: cell.y + 14 }, data.nodes[node][1]),
      );
      picture.append(link);
    }
    return picture;
  }

  function html(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function told(id, next, backwards) {
    const [, , type, says] = data.nodes[id];
    const item = html("li", {}, html("a", { href: href(id), "data-node": id }, nameOf(id)), " ", html("span", { class: "in" }, type));
    if (says) item.append(html("div", {}, says));
    if (!backwards) return item;
    for (const [where, text] of data.made[id] ?? []) {
      const code = html("code", {}, text);
      if (where) code.prepend(html("span", { class: "in" }, where + ": "));
      item.append(code);
    }
    const ways = new Map();
    for (const { id: from, kind } of next.get(id) ?? []) push(ways, kind, from);
    for (const [kind, names] of ways) {
      item.append(html("div", { class: "in" }, (isRows(id) ? "come from" : data.words[kind]) + " " + names.map(nameOf).join(", ")));
    }
    return item;
  }

  let chosen = null, backwards = true, before = null;
  function show(id) {
    const next = backwards ? inputs : outputs;
    const graph = reach(id, next);
    const between = graph.edges.map(([a, b]) => [tableOf(a), tableOf(b)]);
    const far = distances(tableOf(id), between);
    graph.nodes.sort((a, b) => far.get(tableOf(a)) - far.get(tableOf(b)));
    byId("panel-title").textContent = nameOf(id);
    byId("up").setAttribute("aria-pressed", backwards);
    byId("down").setAttribute("aria-pressed", !backwards);
    panel.querySelector(".turn").hidden = false;
    trace.replaceChildren(draw(id, graph, ranks(tableOf(id), between, backwards), backwards));
    const alone = backwards ? "No column of another table goes into it." : "Nothing is made of it.";
    steps.replaceChildren(graph.nodes.length > 1 ? "" : html("p", { class: "in" }, alone), html("ol", {}, ...graph.nodes.map((node) => told(node, next, backwards))));
    unmark();
    for (const node of graph.nodes) byId(node)?.classList.add("lit");
    byId(id)?.classList.add("chosen");
    light(new Set(graph.nodes.map(tableOf)));
    open(id);
    trace.scrollLeft = backwards ? trace.scrollWidth : 0;
  }

  function open(id) {
    chosen = id;
    panel.hidden = false;
    root.classList.add("open");
  }

  function close() {
    panel.hidden = true;
    chosen = null;
    root.classList.remove("open");
    unmark();
    light(null);
    before?.focus({ preventScroll: true });
    before = null;
  }

  function unmark() {
    for (const row of document.querySelectorAll("tr.lit, tr.chosen")) row.classList.remove("lit", "chosen");
  }

  // -- the picture of all tables -------------------------------------------------------------------

  const picture = document.querySelector(".picture svg");
  const curves = [...picture.querySelectorAll(".curve")], boxes = [...picture.querySelectorAll(".box")];
  const above = new Map(), below = new Map();
  for (const { dataset } of curves) {
    push(above, dataset.to, dataset.from);
    push(below, dataset.from, dataset.to);
  }
  function closure(table, next, seen = new Set()) {
    if (!seen.has(table)) {
      seen.add(table);
      for (const other of next.get(table) ?? []) closure(other, next, seen);
    }
    return seen;
  }

  let lit = null;
  function light(tables, keep = true) {
    if (keep) lit = tables;
    picture.classList.toggle("dimmed", tables !== null);
    for (const box of boxes) box.classList.toggle("lit", !!tables?.has(box.dataset.table));
    for (const curve of curves) curve.classList.toggle("lit", !!tables?.has(curve.dataset.from) && tables.has(curve.dataset.to));
  }
  for (const box of boxes) {
    const way = () => light(new Set([...closure(box.dataset.table, above), ...closure(box.dataset.table, below)]), false);
    box.addEventListener("mouseenter", way);
    box.addEventListener("focus", way);
    for (const end of ["mouseleave", "blur"]) box.addEventListener(end, () => light(lit));
    box.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      list(box.dataset.table);
      before = box;
      byId("panel-title").focus();
    });
  }

  /** The columns of a table to choose from. */
  function list(table) {
    const [, , says] = data.tables[table];
    const columns = Object.entries(data.nodes).filter(([id, node]) => node[0] === table && !isRows(id));
    byId("panel-title").textContent = table;
    panel.querySelector(".turn").hidden = true;
    trace.replaceChildren(html("p", {}, says + " ", html("a", { href: "#" + encodeURIComponent(table) }, "Go to the table")));
    trace.append(html("ul", { class: "choose" }, ...columns.map(([id, node]) => html("li", {}, html("a", { href: href(id), "data-node": id }, node[1])))));
    steps.replaceChildren(html("p", { class: "in" }, "Choose a column to follow it."));
    unmark();
    light(new Set([...closure(table, above), ...closure(table, below)]));
    open(null);
  }

  // -- what the address says, keys and search ------------------------------------------------------

  function go() {
    const id = decodeURIComponent(location.hash.slice(1)), place = id && byId(id);
    if (!place) return;
    const hidden = place.closest("details");
    if (hidden && !hidden.open) {
      hidden.open = true;
      place.scrollIntoView();
    }
    if (data.nodes[id]) show(id);
    else if (!panel.hidden) close();
  }
  addEventListener("hashchange", go);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || event.defaultPrevented) return;
    const id = link.dataset.node ?? decodeURIComponent(link.getAttribute("href").slice(1));
    if (!data.nodes[id]) return;
    if (!panel.contains(link)) before = link;
    if (isRows(id)) event.preventDefault();
    if (isRows(id) || location.hash === href(id)) show(id);
    setTimeout(() => byId("panel-title").focus({ preventScroll: true }));
  });
  byId("close").addEventListener("click", close);
  for (const [button, value] of [["up", true], ["down", false]]) {
    byId(button).addEventListener("click", () => { backwards = value; show(chosen); });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden && event.target !== search) close();
    if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });

  const known = [
    ...Object.entries(data.tables).map(([name, [, label, says]]) => [name, name, label + " " + says, says]),
    ...Object.entries(data.nodes).filter(([id]) => !isRows(id)).map(([id, [table, name, , says]]) => [id, `${table}.${name}`, says, says]),
  ];
  function rank(name, words) {
    const last = name.slice(name.lastIndexOf(".") + 1);
    return last === words[0] ? 0 : last.startsWith(words[0]) ? 1 : name.includes(words[0]) ? 2 : 3;
  }
  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = words.length ? known
      .filter(([, name, text]) => words.every((word) => (name + " " + text).toLowerCase().includes(word)))
      .map((hit) => [rank(hit[1].toLowerCase(), words), hit])
      .sort((a, b) => a[0] - b[0]) : [];
    const shown = hits.slice(0, 40).map(([, [id, name, , says]]) => html("li", {}, html("a", { href: "#" + encodeURIComponent(id) }, html("b", {}, name), html("span", {}, says))));
    found.replaceChildren(...shown);
    found.hidden = !shown.length;
    byId("count").textContent = words.length ? `${hits.length} found` : "";
  }
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") { event.preventDefault(); found.querySelector("a")?.focus(); }
    if (event.key === "Enter") found.querySelector("a")?.click();
    if (event.key === "Escape") { search.value = ""; look(); }
  });
  found.addEventListener("keydown", (event) => {
    const item = event.target.closest("li");
    const next = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling }[event.key];
    if (event.key === "ArrowUp" && !next) search.focus();
    if (next) { event.preventDefault(); next.querySelector("a").focus(); }
    if (event.key === "Escape") { search.focus(); found.hidden = true; }
  });
  found.addEventListener("click", () => { found.hidden = true; });
  document.addEventListener("click", (event) => { if (!event.target.closest(".search")) found.hidden = true; });
  search.addEventListener("focus", look);

  go();
})();
