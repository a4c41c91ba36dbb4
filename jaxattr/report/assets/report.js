"use strict";
// Draws the page that lies beside this script as data. Whatever comes from results is set
// as text or as an attribute, never as markup.
(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const root = document.getElementById("report");
  const COLORS = 7;
  const FIRST = 60; // Cards that are there at once; more come as one scrolls.

  // Elements.
  const make = (name, options = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(options)) {
      if (key === "class") element.className = value;
      else if (key === "text") element.textContent = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    return fill(element, children);
  };
  const fill = (element, children) => {
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (name, options = {}, ...children) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(options)) {
      if (key === "text") element.textContent = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  let ids = 0;
  const newId = () => `id${(ids += 1)}`;
  const shown = (value, digits = 3) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value)) return String(value);
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e5)
      ? value.toExponential(2)
      : value.toFixed(digits);
  };
  // Numbers by size, texts by the alphabet, what is missing last in either direction.
  const compare = (a, b, descending) => {
    const none = (v) => v === null || v === undefined || v === "";
    if (none(a) || none(b)) return none(a) - none(b);
    const order =
      typeof a === "number" && typeof b === "number"
        ? a - b
        : String(a).localeCompare(String(b), undefined, { numeric: true });
    return descending ? -order : order;
  };
  // Round numbers from low to high, some five of them.
  const ticks = (low, high) => {
    const rough = (high - low) / 4, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 2.5, 5, 10].find((by) => by * size >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
    return found;
  };
  const tick = (value) => String(Number(value.toPrecision(6)));
  const heading = (block) => [
    block.title ? make("h2", { text: block.title }) : null,
    block.note ? make("p", { class: "soft", text: block.note }) : null,
  ];

  // Charts.
  const chart = (given) => {
    const width = 460, height = 280, left = 44, right = 10, top = 12, bottom = 42;
    const all = given.series.flatMap((s) => [...s.y, ...s.low, ...s.high]).filter((v) => v !== null);
    const xs = given.series.flatMap((s) => s.x);
    if (!all.length || !xs.length) return make("p", { class: "soft", text: "nothing to draw" });
    let low = Math.min(0, ...all), high = Math.max(...all);
    if (high > 0.6 && high <= 1 && low >= 0) high = 1;
    if (high === low) high = low + 1;
    const marks = ticks(low, high), step = marks[1] - marks[0];
    if (marks.at(-1) < high - step * 1e-6) marks.push(marks.at(-1) + step);
    if (marks[0] > low + step * 1e-6) marks.unshift(marks[0] - step);
    [low, high] = [marks[0], marks.at(-1)];
    const x0 = Math.min(...xs), x1 = Math.max(...xs) > x0 ? Math.max(...xs) : x0 + 1;
    const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
    const py = (y) => top + (1 - (y - low) / (high - low)) * (height - top - bottom);
    const title = newId();
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": title });
    const about = `${given.title}: ${given.series.map((s) => s.name).join(", ")}. Left and right arrow read the values.`;
    svg.append(draw("title", { id: title, text: about }));
    for (const y of marks) {
      svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
      svg.append(draw("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end", text: tick(y) }));
    }
    for (const x of ticks(x0, x1))
      svg.append(draw("text", { x: px(x), y: height - bottom + 17, "text-anchor": "middle", text: tick(x) }));
    svg.append(draw("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle", text: given.x_label }));
    given.series.forEach((s, i) => {
      const color = `var(--c${i % COLORS})`;
      if (s.low.length) {
        const edge = [...s.x.map((x, k) => `${px(x)},${py(s.high[k])}`), ...s.x.map((x, k) => `${px(x)},${py(s.low[k])}`).reverse()];
        const band = draw("polygon", { class: "band", points: edge.join(" ") });
        band.style.fill = color;
        svg.append(band);
      }
      const points = s.x.map((x, k) => (s.y[k] === null ? null : `${px(x)},${py(s.y[k])}`)).filter((p) => p);
      const line = draw("polyline", { class: "line", points: points.join(" ") });
      line.style.stroke = color;
      if (i >= COLORS) line.style.strokeDasharray = "6 3";
      svg.append(line);
      if (s.x.length <= 24)
        for (const p of points) {
          const dot = draw("circle", { cx: p.split(",")[0], cy: p.split(",")[1], r: 3 });
          dot.style.fill = color;
          svg.append(dot);
        }
    });
    const cursor = draw("line", { class: "cursor", y1: top, y2: height - bottom, x1: -99, x2: -99 });
    svg.append(cursor);
    const values = given.series.map(() => make("b"));
    const place = make("span", { class: "soft" });
    const spoken = make("span", { class: "visually-hidden", role: "status" });
    const legend = make(
      "ul", { class: "legend" },
      ...given.series.map((s, i) => {
        const mark = make("i");
        mark.style.borderColor = `var(--c${i % COLORS})`;
        if (i >= COLORS) mark.style.borderTopStyle = "dashed";
        return make("li", {}, mark, s.name + " ", values[i]);
      }),
      make("li", {}, place),
    );
    const at = (x) => {
      cursor.setAttribute("x1", px(x));
      cursor.setAttribute("x2", px(x));
      place.textContent = `at ${shown(x, 2)}`;
      given.series.forEach((s, i) => {
        let best = 0;
        s.x.forEach((v, k) => { if (Math.abs(v - x) < Math.abs(s.x[best] - x)) best = k; });
        values[i].textContent = shown(s.y[best]);
      });
    };
    let current = x1;
    const move = (x) => { current = Math.min(x1, Math.max(x0, x)); at(current); };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      move(x0 + ((x - left) / (width - left - right)) * (x1 - x0));
    });
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      move(current + (step * (x1 - x0)) / 40);
      spoken.textContent = [place.textContent, ...given.series.map((s, i) => `${s.name} ${values[i].textContent}`)].join(", ");
    });
    return make("div", { class: "chart" }, make("h3", { text: given.title }),
      given.y_label ? make("div", { class: "soft small", text: given.y_label }) : null, svg, legend, spoken,
      given.note ? make("p", { class: "soft small", text: given.note }) : null);
  };

  const charts = (block) => make("section", {}, ...heading(block),
    make("div", { class: "charts" }, ...block.charts.map(chart)));

  // Tables.
  const table = (block) => {
    let order = null, descending = false, words = "";
    const body = make("tbody");
    const count = make("span", { class: "soft small", role: "status" });
    const MOST = 2000; // Rows that a browser lays out without a pause.
    const show = () => {
      let rows = block.rows.filter((row) => !words || row.some((cell) => String(cell ?? "").toLowerCase().includes(words)));
      const found = rows.length;
      if (order !== null) rows = [...rows].sort((a, b) => compare(a[order], b[order], descending));
      body.replaceChildren(...rows.slice(0, MOST).map((row) =>
        make("tr", {}, ...row.map((cell, i) => make("td", {
          class: block.columns[i].is_number ? "number" : "", text: shown(cell) })))));
      count.textContent = `${found} of ${block.rows.length} rows` + (found > MOST ? `, the first ${MOST} shown` : "");
    };
    const heads = block.columns.map((column, i) =>
      make("th", { scope: "col", class: column.is_number ? "number" : "" },
        make("button", { type: "button", onclick: () => {
          descending = order === i ? !descending : column.is_number;
          order = i;
          heads.forEach((h, k) => k === i
            ? h.setAttribute("aria-sort", descending ? "descending" : "ascending")
            : h.removeAttribute("aria-sort"));
          show();
        } }, make("span", { text: column.name }), column.note ? make("span", { class: "note", text: column.note }) : null)));
    show();
    const many = block.rows.length > 12;
    const filter = make("label", {}, make("span", { text: "Filter the rows" }),
      make("input", { type: "search", oninput: (event) => { words = event.target.value.trim().toLowerCase(); show(); } }));
    return make("section", {}, ...heading(block),
      many ? make("div", { class: "controls" }, filter, count) : null,
      make("div", { class: many ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": block.title },
        make("table", {}, make("caption", { class: "visually-hidden", text: block.title }), make("thead", {}, make("tr", {}, ...heads)), body)));
  };

  // Galleries.
  const stack = (photograph, map, alt) => {
    const over = map && map.picture ? map.picture : "";
    if (!photograph.picture && !over) return make("span", { class: "stack none", text: "not at hand" });
    const picture = (source, kind, text) => make("img", { class: kind, src: source, alt: text, loading: "lazy", decoding: "async" });
    return make("span", { class: "stack" },
      photograph.picture ? picture(photograph.picture, "under", alt) : null,
      over ? picture(over, "over", photograph.picture ? "" : alt) : null);
  };
  const limit = (map) => map && map.picture
    ? make("span", { class: "facts", text: `colours end at ±${shown(map.limit, 4)}` }) : null;
  const gallery = (block) => {
    let method = block.methods[0], order = "", words = "", many = FIRST;
    const scoreOf = (photograph, of, name) => photograph.maps[of] ? photograph.maps[of].scores[name] : null;
    const section = make("section", {}, ...heading(block));
    const hasMaps = block.photographs.some((p) => Object.values(p.maps).some((m) => m.picture));
    const hasPictures = hasMaps || block.photographs.some((p) => p.picture);
    const grid = make("div", { class: "gallery" });
    const status = make("span", { class: "soft small", role: "status" });
    const end = make("div");
    const strength = (value) => {
      // 0: the photograph; 50: both; 100: the map on white.
      section.style.setProperty("--map", Math.min(1, value / 50));
      section.style.setProperty("--photo", Math.min(1, (100 - value) / 50));
    };
    const listed = () => {
      let rows = block.photographs.filter((p) => !words ||
        [p.file, p.caption, ...Object.values(p.facts)].some((t) => t.toLowerCase().includes(words)));
      const [kind, name] = order.split("\n");
      if (kind === "file") rows = [...rows].sort((a, b) => compare(a.file, b.file, false));
      if (kind === "up" || kind === "down")
        rows = [...rows].sort((a, b) => compare(scoreOf(a, method, name), scoreOf(b, method, name), kind === "down"));
      return rows;
    };
    const scores = (photograph, of) => block.scores
      .map((s) => [s.name, scoreOf(photograph, of, s.name)])
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => make("span", { class: "facts", text: `${name} ${shown(value)}` }));
    const card = (photograph) => {
      const map = photograph.maps[method];
      return make("button", { class: "card", type: "button", onclick: () => open(photograph) },
        // What the picture shows stands under it.
        hasPictures ? stack(photograph, map, "") : null,
        make("span", { class: "name", text: photograph.caption }),
        make("span", { class: "facts", text: photograph.file }),
        ...Object.entries(photograph.facts).map(([k, v]) => make("span", { class: "facts", text: `${k} ${v}` })),
        ...scores(photograph, method),
        limit(map));
    };
    let current = [];
    const show = () => {
      current = listed();
      grid.replaceChildren(...current.slice(0, many).map(card));
      status.textContent = `${current.length} of ${block.photographs.length} photographs`;
    };
    const more = () => {
      if (many >= current.length) return;
      grid.append(...current.slice(many, many + FIRST).map(card));
      many += FIRST;
    };
    if ("IntersectionObserver" in window)
      new IntersectionObserver((seen) => { if (seen.some((s) => s.isIntersecting)) more(); }, { rootMargin: "800px" }).observe(end);
    else many = Infinity;

    // One photograph by all methods.
    const dialogTitle = newId();
    const dialog = make("dialog", { "aria-labelledby": dialogTitle });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step && !event.target.closest("svg")) turn(step);
    });
    let opened = null;
    const turn = (step) => {
      const index = current.indexOf(opened);
      if (index >= 0) open(current[(index + step + current.length) % current.length]);
    };
    const open = (photograph) => {
      opened = photograph;
      const titles = [...new Set(Object.values(photograph.maps).flatMap((m) => Object.keys(m.curves)))];
      const pressed = dialog.contains(document.activeElement) ? document.activeElement.dataset.role : "close";
      const button = (role, options) => make("button", { type: "button", "data-role": role, ...options });
      const lines = titles.map((title) => chart({
        title, x_label: block.curves[title],
        y_label: "probability of the class",
        series: block.methods.filter((m) => photograph.maps[m] && photograph.maps[m].curves[title]).map((m) => {
          const y = photograph.maps[m].curves[title];
          return { name: m, x: y.map((_, k) => k / (y.length - 1)), y, low: [], high: [] };
        }) }));
      dialog.replaceChildren(
        make("div", { class: "bar" }, make("h2", { id: dialogTitle, text: photograph.caption }),
          button("before", { text: "‹", "aria-label": "the photograph before", onclick: () => turn(-1) }),
          button("next", { text: "›", "aria-label": "the next photograph", onclick: () => turn(1) }),
          button("close", { text: "Close", onclick: () => dialog.close() })),
        make("p", { class: "soft small", text: [photograph.file, ...Object.entries(photograph.facts).map(([k, v]) => `${k} ${v}`)].join(" · ") }),
        make("div", { class: "side" },
          hasPictures ? make("div", {}, stack({ picture: photograph.picture }, null, photograph.file), make("span", { class: "name", text: "the photograph" })) : null,
          photograph.extra ? make("div", {}, stack({ picture: photograph.extra }, null, block.extra_title), make("span", { class: "name", text: block.extra_title })) : null,
          ...block.methods.filter((m) => photograph.maps[m]).map((m) => make("div", {},
            photograph.maps[m].picture ? stack(photograph, photograph.maps[m], `map of ${m}`) : null, make("span", { class: "name", text: m }),
            ...scores(photograph, m), limit(photograph.maps[m])))),
        make("div", { class: "charts" }, ...lines));
      if (!dialog.open) dialog.showModal();
      // What was pressed is a new button now.
      (dialog.querySelector(`[data-role="${pressed}"]`) || dialog).focus();
    };

    // Controls.
    const group = newId();
    const choices = make("fieldset", {}, make("legend", { text: "Method" }), make("div", { class: "choices" },
      ...block.methods.map((name, i) => {
        const input = make("input", { type: "radio", name: group, value: name, onchange: () => { method = name; show(); } });
        input.checked = i === 0;
        return make("label", {}, input, make("span", { text: name }));
      })));
    const slider = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "from the photograph to the map",
      oninput: (event) => strength(Number(event.target.value)) });
    const sorts = [["", "as they are listed"], ["file", "name of the file"]];
    for (const s of block.scores) {
      const [best, worst] = s.higher_is_better === false ? ["up", "down"] : ["down", "up"];
      const [first, last] = s.higher_is_better === null ? ["highest", "lowest"] : ["best", "worst"];
      sorts.push([`${best}\n${s.name}`, `${s.name}, ${first} first`], [`${worst}\n${s.name}`, `${s.name}, ${last} first`]);
    }
    const select = make("select", { onchange: (event) => { order = event.target.value; many = FIRST; show(); } },
      ...sorts.map(([value, text]) => make("option", { value, text })));
    const search = make("input", { type: "search", oninput: (event) => { words = event.target.value.trim().toLowerCase(); many = FIRST; show(); } });
    fill(section, [
      make("div", { class: "controls" },
        block.methods.length ? choices : null,
        hasMaps ? make("label", {}, make("span", { text: "Photograph to map" }), slider,
          make("div", { class: "ends" }, make("span", { text: "photograph" }), make("span", { text: "map" }))) : null,
        make("label", {}, make("span", { text: "Order" }), select),
        make("label", {}, make("span", { text: "Filter by name or class" }), search), status),
      hasMaps ? make("p", { class: "soft small", text: "Red speaks for the class, blue against it. Choose a photograph to see it by all methods." }) : null,
      grid, end, dialog]);
    strength(50);
    show();
    return section;
  };

  // The page.
  const theme = make("button", { class: "theme", text: "Dark or light", onclick: () => {
    const dark = document.documentElement.dataset.theme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  } });
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.theme = "dark";
  root.append(
    make("header", {}, make("div", {}, make("h1", { text: page.title }), make("p", { class: "soft", text: page.lead })), theme),
    make("main", {},
      page.missing.length || page.notes.length ? make("div", { class: "warnings", role: "note" },
        make("ul", {}, ...[...page.missing.slice(0, 20), ...(page.missing.length > 20 ? [`and ${page.missing.length - 20} more`] : []), ...page.notes].map((text) => make("li", { text })))) : null,
      ...page.blocks.map((block) => ({ Table: table, Charts: charts, Gallery: gallery })[block.type](block)),
      make("section", {}, make("h2", { text: "How it was made" }),
        make("dl", {}, ...page.facts.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })])))),
    make("footer", { text: "Made by jaxattr. This file needs no network." }));
})();
