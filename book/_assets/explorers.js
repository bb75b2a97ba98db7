/* The pages on which a reader chooses. Their data stand in the page as JSON: one that is opened from a disk may not read a file.
   Each page has its controls in a hidden .explorer, which is shown here, and a figure for whoever has no scripts, hidden here. */
const explorers = {};

explorers.text = (value) => String(value).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
explorers.words = (name) => explorers.text(name.replaceAll("_", " "));
explorers.percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u202f%`;
explorers.signed = (value, digits = 1) => {
  const size = Math.abs(value).toFixed(digits);
  return `${Number(size) === 0 ? "" : value < 0 ? "−" : "+"}${size}`;
};
explorers.tag = (name, attributes, content = "") =>
  `<${name} ${Object.entries(attributes).map(([key, value]) => `${key}="${explorers.text(value)}"`).join(" ")}>${content}</${name}>`;
/* Options of a select, in groups where they have some: [value, words, group]. The value stays where it is still there. */
explorers.fill = (select, options) => {
  const before = select.value;
  const groups = [...new Set(options.map(([, , group]) => group))];
  const inside = (group) =>
    options.filter((option) => option[2] === group).map(([value, words]) => explorers.tag("option", { value }, explorers.text(words))).join("");
  select.innerHTML = groups.map((group) => (group ? explorers.tag("optgroup", { label: group }, inside(group)) : inside(group))).join("");
  select.value = options.some(([value]) => String(value) === before) ? before : String(options[0][0]);
};
/* Begin: the data of the page, its part with the controls, and what draws it anew; it also is drawn when the window's width changes. */
explorers.begin = (name, start) => {
  const data = document.querySelector(`script[data-explored=${name}]`);
  if (!data) return;
  const place = document.querySelector(`.explorer.${name}`);
  place.hidden = false;
  for (const part of document.querySelectorAll(".without-scripts")) part.hidden = true;
  const show = start(JSON.parse(data.textContent), place);
  place.addEventListener("input", show);
  addEventListener("resize", show);
  show();
};

/* How many maps are kept, by which criterion: accuracy, class by class, clip by clip. */
explorers.begin("explore", (sets, place) => {
  const { text, words, percent, signed, tag, fill } = explorers;
  const [BLUE, GREY] = ["#1c7fc4", "#808080"];
  const pick = Object.fromEntries([...place.querySelectorAll("[name]")].map((control) => [control.name, control]));
  const part = (name) => place.querySelector(`.${name}`);
  const bits = (hex, count) =>
    Array.from({ length: count }, (_, clip) => (parseInt(hex[clip >> 2], 16) >> (3 - (clip & 3))) & 1);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const called = (name) => (name === "anova" ? "ANOVA" : name === "random" ? "random maps" : name.replaceAll("_", " "));

  const draw = (run, name, points, full, chosen) => {
    const drawn = Object.entries(run.random).map(([keep, random]) => ({ keep: Number(keep), ...random }));
    const [width, height] = [Math.min(place.clientWidth, 640), 260];
    const [left, right, top, bottom] = [44, width - 16, 22, height - 40];
    const accuracies = [full, ...points.map((p) => p.accuracy), ...drawn.flatMap((d) => [d.lowest, d.highest])];
    const low = Math.floor(20 * Math.min(...accuracies) - 0.2) / 20;
    const high = Math.min(1, Math.ceil(20 * Math.max(...accuracies) + 0.2) / 20);
    const least = Math.log(Math.min(...points.map((p) => p.keep), ...drawn.map((d) => d.keep)));
    const x = (keep) => (right - ((right - left - 12) * Math.log(keep)) / least).toFixed(1);
    const y = (accuracy) => (bottom + ((top - bottom) * (accuracy - low)) / (high - low)).toFixed(1);
    const write = (at, level, said, anchor = "start") =>
      tag("text", { x: at, y: level, fill: "currentColor", "font-size": 12, "text-anchor": anchor }, text(said));
    const mark = (shape, said) => tag("g", {}, tag("title", {}, text(said)) + shape);
    let shapes = write(left, 12, "accuracy, %");
    const step = high - low > 0.35 ? 10 : 5;
    for (let level = Math.ceil((100 * low) / step - 1e-9) * step; level <= 100 * high + 1e-9; level += step) {
      const at = y(level / 100);
      shapes += tag("path", { d: `M${left} ${at}H${right}`, stroke: GREY, "stroke-opacity": 0.25 });
      shapes += write(left - 6, Number(at) + 4, level.toFixed(0), "end");
    }
    const keeps = [...new Set([...points, ...drawn].map((p) => p.keep)), 1];
    for (const keep of keeps) shapes += write(x(keep), bottom + 17, Number((100 * keep).toPrecision(3)), "middle");
    shapes += write(right, height - 6, "maps kept, %", "end");
    if (drawn.length) {
      const ends = (which) => drawn.map((d) => `${x(d.keep)},${y(d[which])}`);
      const band = [...ends("highest"), `${x(1)},${y(full)}`, ...ends("lowest").reverse()].join(" ");
      shapes += tag("polygon", { points: band, fill: GREY, "fill-opacity": 0.3 });
      const line = [...drawn.map((d) => `${x(d.keep)},${y(d.accuracy)}`), `${x(1)},${y(full)}`].join(" ");
      shapes += tag("polyline", { points: line, fill: "none", stroke: GREY, "stroke-width": 2, "stroke-dasharray": "4 3" });
      for (const d of drawn) {
        const square = { x: x(d.keep) - 3, y: y(d.accuracy) - 3, width: 6, height: 6, fill: GREY };
        shapes += mark(tag("rect", square), `random maps, ${percent(d.keep, 0)} kept: ${percent(d.accuracy)}, mean of ${d.draws} draws`);
      }
    }
    shapes += tag("path", { d: `M${left} ${y(full)}H${right}`, stroke: "currentColor", "stroke-width": 1.4 });
    shapes += write(left + 4, y(full) - 5, `all maps: ${percent(full)}`);
    if (name !== "random") {
      const line = points.map((p) => `${x(p.keep)},${y(p.accuracy)}`).join(" ");
      shapes += tag("polyline", { points: line, fill: "none", stroke: BLUE, "stroke-width": 2 });
      for (const p of points) {
        const dot = tag("circle", { cx: x(p.keep), cy: y(p.accuracy), r: 4.5, fill: BLUE });
        shapes += mark(dot, `${called(name)}, ${percent(p.keep, 0)} kept: ${percent(p.accuracy)}`);
      }
    }
    shapes += tag("circle", { cx: x(chosen.keep), cy: y(chosen.accuracy), r: 9, fill: "none", stroke: "currentColor", "stroke-width": 2 });
    const drawing = part("curve");
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("width", width);
    const numbers = points.map((p) => `${percent(p.accuracy)} with ${percent(p.keep, 0)}`).join(", ");
    drawing.setAttribute("aria-label", `Accuracy against the fraction of maps kept, ${called(name)}: ${numbers}; all maps: ${percent(full)}.`);
    drawing.innerHTML = shapes;
  };

  const classes = (set, full, here, random) => {
    const rows = set.classes.map((label, number) => {
      const own = set.y.flatMap((y, clip) => (y === number ? [clip] : []));
      const of = (values) => mean(own.map((clip) => values[clip]));
      return { label, full: of(full), here: of(here), random: random && of(random) };
    });
    rows.sort((a, b) => a.here - a.full - (b.here - b.full));
    const tick = (kind, share) => tag("i", { class: kind, style: `left: ${100 * share}%` });
    part("classes").innerHTML = rows
      .map((row) => {
        const bar = tag("b", { style: `width: ${100 * row.here}%` }) + (random ? tick("drawn", row.random) : "") + tick("whole", row.full);
        const cells = [percent(row.full), percent(row.here), signed(100 * (row.here - row.full)), random ? percent(row.random) : "–"];
        const name = `${words(row.label)}${tag("span", { class: "bar", "aria-hidden": "true" }, bar)}`;
        return tag("tr", {}, tag("th", { scope: "row" }, name) + cells.map((cell) => tag("td", {}, cell)).join(""));
      })
      .join("");
  };

  const changed = (kind, title, set, which) => {
    const lines = set.classes.flatMap((label, number) => {
      const own = set.clips.filter((_, clip) => set.y[clip] === number && which(clip));
      return own.length ? [tag("li", {}, `${tag("b", {}, words(label))} (${own.length}): ${own.map(text).join(", ")}`)] : [];
    });
    const count = set.clips.filter((_, clip) => which(clip)).length;
    part(kind).querySelector("summary").textContent = `${title}: ${count} of ${set.clips.length}`;
    part(kind).querySelector("ul").innerHTML = lines.join("");
  };

  fill(pick.set, sets.map((set, number) => [number, set.title]));
  let fractions = [];
  return () => {
    const set = sets[pick.set.value];
    fill(pick.classifier, set.runs.map((run, number) => [number, `${run.classifier} (criteria: ${run.criteria.length})`]));
    const run = set.runs[pick.classifier.value];
    const families = run.criteria.map((criterion) => [criterion.name, called(criterion.name), criterion.family]);
    fill(pick.criterion, Object.keys(run.random).length ? [...families, ["random", "random maps", "controls"]] : families);
    const name = pick.criterion.value;
    const criterion = run.criteria.find((one) => one.name === name);
    const full = bits(run.full, set.clips.length);
    for (const random of Object.values(run.random)) random.accuracy = mean(random.right) / random.draws;
    const points = Object.entries(criterion?.at ?? run.random)
      .map(([keep, at]) => ({ ...at, keep: Number(keep), accuracy: at.accuracy ?? mean(full) + at.change }))
      .sort((a, b) => a.keep - b.keep);
    /* The place on the slider is that of a fraction; among other fractions it goes to the nearest. */
    const wanted = fractions[pick.keep.value] ?? 0.11;
    if (fractions.join() !== points.map((p) => p.keep).join()) {
      fractions = points.map((p) => p.keep);
      const far = fractions.map((keep) => Math.abs(Math.log(keep / wanted)));
      pick.keep.max = fractions.length - 1;
      pick.keep.value = far.indexOf(Math.min(...far));
    }
    const chosen = points[pick.keep.value];
    const random = run.random[chosen.keep];
    const drawn = random?.right.map((count) => count / random.draws);
    const here = criterion ? bits(chosen.right, set.clips.length) : drawn;
    const kept = percent(chosen.keep, 0);
    pick.keep.setAttribute("aria-valuetext", kept);
    part("kept").textContent = kept;
    part("about").textContent = criterion ? criterion.summary : `as many maps of every tap, drawn at random ${random.draws} times`;
    const interval = criterion ? ` [${signed(100 * chosen.low, 2)}, ${signed(100 * chosen.high, 2)}]` : "";
    const range = random && `${percent(random.accuracy, 2)}, mean of ${random.draws} draws (${percent(random.lowest, 2)} to ${percent(random.highest, 2)})`;
    part("said").textContent =
      `${set.title}, ${called(name)}, ${kept} of the maps kept: ${percent(mean(here), 2)} of the clips right, ` +
      `${signed(100 * (mean(here) - mean(full)), 2)} points${interval} against all maps (${percent(mean(full), 2)}). ` +
      (criterion && random ? `Random maps: ${range}.` : "");
    draw(run, name, points, mean(full), chosen);
    classes(set, full, here, drawn);
    const most = criterion ? "" : " in most draws";
    changed("lost", `Right with all maps, wrong with these${most}`, set, (clip) => full[clip] && here[clip] < 0.5);
    changed("won", `Wrong with all maps, right with these${most}`, set, (clip) => !full[clip] && here[clip] > 0.5);
  };
});

/* Which feature map: its class means, and the clips that it answers most and least, to see and to hear. */
explorers.begin("hear", (heard, place) => {
  const { text, words, signed, tag, fill } = explorers;
  const [BLUE, GREY] = ["#1c7fc4", "#808080"];
  const pick = Object.fromEntries([...place.querySelectorAll("[name]")].map((control) => [control.name, control]));
  const part = (name) => place.querySelector(`.${name}`);
  const bytes = (packed) => Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const kinds = [{ name: "all", about: "of a tap, by number", maps: null }, ...heard.groups];
  const opened = {};
  const open = (name) => {
    const tap = heard.taps.find((one) => one.name === name);
    return (opened[name] ??= {
      ...tap,
      means: new Int8Array(bytes(tap.means).buffer),
      eta2: bytes(tap.eta2),
      ends: bytes(tap.ends),
      places: new Uint16Array(bytes(tap.places).buffer),
      overTime: bytes(tap.over_time),
    });
  };

  const draw = (tap, map) => {
    const count = heard.classes.length;
    const rows = heard.classes.map((label, number) => ({ label, mean: tap.means[map * count + number] / 16 }));
    rows.sort((a, b) => b.mean - a.mean);
    const [width, high] = [Math.min(place.clientWidth, 560), 20];
    const [left, right] = [112, width - 40];
    const most = Math.max(...rows.map((row) => Math.abs(row.mean)), 0.5);
    const x = (mean) => (left + right) / 2 + ((right - left) / 2) * (mean / most);
    const write = (at, level, said, anchor) =>
      tag("text", { x: at, y: level, fill: "currentColor", "font-size": 12, "text-anchor": anchor }, said);
    const shapes = rows.map((row, number) => {
      const top = number * high;
      const bar = { x: Math.min(x(0), x(row.mean)), y: top + 4, width: Math.abs(x(row.mean) - x(0)), height: high - 8, fill: BLUE };
      return write(0, top + 14, words(row.label), "start") + tag("rect", bar) + write(width, top + 14, signed(row.mean), "end");
    });
    const zero = tag("path", { d: `M${x(0)} 0V${count * high}`, stroke: GREY, "stroke-width": 1.5 });
    const drawing = part("means");
    drawing.setAttribute("viewBox", `0 0 ${width} ${count * high + 4}`);
    drawing.setAttribute("width", width);
    const numbers = rows.map((row) => `${row.label.replaceAll("_", " ")} ${signed(row.mean)}`).join(", ");
    drawing.setAttribute("aria-label", `Class means of map ${map} of ${tap.name}, in standard deviations: ${numbers}.`);
    drawing.innerHTML = shapes.join("") + zero;
  };

  const card = (tap, map, end, shown) => {
    const at = map * shown + end;
    const clip = heard.clips[tap.ends[at]];
    const image = tag("img", { src: `_static/heard/${clip.name}.png`, alt: `Spectrogram: ${clip.label.replaceAll("_", " ")}, clip ${clip.name}` });
    let course = "";
    if (tap.positions) {
      const values = [...tap.overTime.subarray(at * tap.positions, (at + 1) * tap.positions)];
      const line = values.map((value, place) => `${place ? "V" : "M0 "}${98 - (96 * value) / 255}H${place + 1}`).join("");
      const step = tag("path", { d: line, fill: "none", stroke: BLUE, "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
      const box = { viewBox: `0 0 ${tap.positions} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "The map's activation over the clip" };
      course = tag("svg", box, step);
    }
    const sound = tag("audio", { controls: "", preload: "metadata", src: `_static/heard/${clip.name}.mp3`, "aria-label": `${clip.label.replaceAll("_", " ")}, clip ${clip.name}` });
    const credit = clip.credit
      ? ` From ${tag("a", { href: clip.credit.url }, text(clip.credit.title))} by ${text(clip.credit.author)} (${text(clip.credit.licence)}), cut.`
      : " Rebuilt from its spectrogram.";
    const rank = `: place ${tap.places[at]} of ${heard.total}.`;
    return tag("div", { class: "clip" }, image + course + sound + tag("p", {}, tag("b", {}, words(clip.label)) + `, ${text(clip.name)}${rank}${credit}`));
  };

  fill(pick.kind, kinds.map((kind, number) => [number, `${kind.name} maps`]));
  pick.kind.value = "1";
  let last = "";
  return () => {
    const kind = kinds[pick.kind.value];
    const begun = last !== "";
    const names = heard.taps.map((tap) => tap.name).filter((name) => !kind.maps || kind.maps[name]);
    fill(pick.tap, names.map((name) => [name, name]));
    if (!begun && names.includes("pool5")) pick.tap.value = "pool5";
    const tap = open(pick.tap.value);
    const maps = kind.maps?.[tap.name] ?? [...Array(tap.maps).keys()];
    fill(pick.map, maps.map((number) => [number, number]));
    const map = Number(pick.map.value);
    draw(tap, map);
    const key = [pick.kind.value, tap.name, map].join();
    if (key === last) return; // the window's width has changed: what is playing goes on
    last = key;
    part("about").textContent = `Maps ${kind.about}: ${maps.length} of ${tap.maps} at ${tap.name}.`;
    part("said").textContent =
      `Map ${map} of ${tap.name}: the classes explain ${((100 * tap.eta2[map]) / 255).toFixed(0)}\u202f% of the variance of its responses (η²).` +
      (tap.positions ? "" : " Its activation over time is not at hand without the audio; that of relu3 and pool5 is.");
    const shown = tap.ends.length / tap.maps;
    const cards = [...Array(shown).keys()].map((end) => card(tap, map, end, shown));
    part("most").innerHTML = cards.slice(0, shown / 2).join("");
    part("least").innerHTML = cards.slice(shown / 2).join("");
  };
});
