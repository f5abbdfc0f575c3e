// Courses over the steps, drawn by plotly, each with its numbers as a table behind it.
const boxes = new Map();

function chartBox(parent, key) {
  if (!boxes.has(key)) {
    const made = {
      title: element('h3'), plot: element('div', { className: 'plot', role: 'img' }),
      details: element('details', {}, element('summary', {}, 'Numbers')),
    };
    parent.append(element('div', { className: 'chart' }, made.title, made.plot, made.details));
    boxes.set(key, made);
  }
  return boxes.get(key);
}

function nameChart(box, title) {
  box.title.textContent = title;
  box.plot.setAttribute('aria-label', `${title} over the steps; the numbers are in the table below`);
}

function titleOf(metric) {
  return `${metric.title}${metric.unit ? `, ${metric.unit}` : ''}`;
}

const DEEPEST = 1e8; // as in the scales of colours: what is less is 0 to whoever looks at it

// Decades are told apart where what is drawn spans some: from the least to the largest, else null.
function decadesOf(metric, traces) {
  const known = traces.flatMap((trace) => trace.y).filter((y) => y > 0);
  if (!metric.scale.log || !known.length) return null;
  const [low, high] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
  return high > 50 * low ? [Math.max(low, high / DEEPEST), high] : null;
}

// Numbers below the least decade run along the foot of the chart; their own value is what is said.
function onDecades(traces, decades) {
  if (!decades) return traces;
  return traces.map((trace) => ({ ...trace, y: trace.y.map((y) => (y === null ? y : Math.max(y, decades[0]))) }));
}

function powerOf(exponent) {
  if (exponent >= -2 && exponent <= 3) return String(10 ** Math.max(exponent, 0) / 10 ** Math.max(-exponent, 0));
  return `10<sup>${String(exponent).replace('-', '−')}</sup>`;
}

function decadeAxis([low, high]) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.ceil((last - first) / 6);
  const exponents = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((e) => (last - e) % every === 0);
  return { type: 'log', range: [Math.log10(low) - 0.1, Math.log10(high) + 0.1], tickvals: exponents.map((e) => 10 ** e), ticktext: exponents.map(powerOf) };
}

function stepMark(step, palette) {
  return { type: 'line', x0: step, x1: step, yref: 'paper', y0: 0, y1: 1, line: { color: palette.inks.faint, width: 1, dash: 'dot' } };
}

function layoutOf(metric, palette, decades) {
  const { ink, faint, rule } = palette.inks;
  const axis = { gridcolor: rule, linecolor: faint, zeroline: false, tickfont: { color: faint, size: 12 } };
  const linear = { rangemode: metric.scale.low < 0 ? 'normal' : 'tozero', nticks: 6, tickformat: ',.6~g' };
  // Float16 maps and scalars files tell one share by other digits: an axis reaches so far that this isn't seen.
  if (metric.scale.least > 0) linear.autorangeoptions = { include: metric.scale.least };
  return {
    margin: { l: 62, r: 14, t: 10, b: 40 }, showlegend: false, hovermode: 'closest',
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: 'system-ui, "DejaVu Sans", sans-serif', size: 12, color: ink },
    xaxis: { ...axis, title: { text: 'step', font: { color: faint }, standoff: 4 }, showgrid: false, tickformat: ',', nticks: 7, tickangle: 0 },
    yaxis: { ...axis, ...(decades ? decadeAxis(decades) : linear) },
  };
}

const CONFIG = { displayModeBar: false, responsive: true };

function tableOf(title, head, rows) {
  const top = element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)));
  const lines = rows.map(([first, ...others]) => element('tr', {},
    element('th', { scope: 'row' }, first), ...others.map((value) => element('td', {}, short(value)))));
  const table = element('table', {}, element('thead', {}, top), element('tbody', {}, ...lines));
  return element('div', { className: 'data', tabIndex: 0, role: 'region', 'aria-label': `Numbers of ${title}` }, table);
}

// A table of many rows is made when it is opened.
function fillWhenOpened(details, make) {
  const fill = () => {
    details.querySelector('.data')?.remove();
    if (details.open) details.append(make());
  };
  details.ontoggle = fill;
  fill();
}

function lineOf(run, values, name, line, label) {
  return {
    x: run.steps, y: values, customdata: values, name, line, mode: run.steps.length > 1 ? 'lines' : 'markers', marker: { size: 9 },
    hovertemplate: `${label}, step %{x:,}: %{customdata:.3g}<extra></extra>`,
  };
}

// What the charts of one run's layers show, beside the step.
let coursesShown = '';

function drawCourses(state, palette) {
  const run = data.runs[state.run];
  const step = run.steps[state.step];
  const shown = data.trajectories.filter((name) => metricByName.has(name));
  const key = [state.run, state.row, state.column, palette.inks.paper].join(' ');
  if (key === coursesShown) {
    for (const name of shown) Plotly.relayout(boxes.get(name).plot, { shapes: [stepMark(step, palette)] });
    return;
  }
  coursesShown = key;
  for (const name of shown) drawCourse(state, palette, metricByName.get(name));
  const [first, last] = [run.layers[0], run.layers[run.layers.length - 1]];
  const order = first === last ? `layer ${first}` : `pale for layer ${first} to strong for layer ${last}`;
  document.getElementById('courses-note').textContent = `${run.name}: each layer's median over its heads, ${order}. `
    + `Dashed: layer ${run.layers[state.row]}, head ${run.heads[state.column]}. Dotted: the step that is shown above.`;
}

function drawCourse(state, palette, metric) {
  const run = data.runs[state.run];
  const { name } = metric;
  const L = run.layers.length;
  const box = chartBox(document.getElementById('courses'), name);
  nameChart(box, titleOf(metric));
  const traces = run.layers.map((layer, row) => lineOf(run, run.byLayer[name][row], `layer ${layer}`,
    { color: `rgb(${mixed(palette.order, L > 1 ? row / (L - 1) : 1)})`, width: row === state.row ? 3 : 1.6 }, `layer ${layer}`));
  const own = run.steps.map((_, t) => valueOf(state.run, name, t, state.row, state.column));
  traces.push(lineOf(run, own.map((v) => (Number.isFinite(v) ? v : null)), 'head', { color: palette.inks.query, width: 2.2, dash: 'dash' }, 'the head'));
  const decades = decadesOf(metric, traces);
  const layout = { ...layoutOf(metric, palette, decades), shapes: [stepMark(run.steps[state.step], palette)] };
  Plotly.react(box.plot, onDecades(traces, decades), layout, CONFIG);
  fillWhenOpened(box.details, () => tableOf(`${titleOf(metric)}, by layer`, ['step', ...run.layers.map((layer) => `layer ${layer}`)],
    run.steps.map((step, t) => [step.toLocaleString('en'), ...run.layers.map((_, row) => run.byLayer[name][row][t])])));
}

// How the line of a run looks: by its own colour, or by its verdict's where there are many runs.
function runLine(place, palette) {
  if (!data.crowded) return { color: palette.lines[place], width: place === state.run ? 4 : 1.8 };
  if (place === state.run) return { color: palette.inks.ink, width: 4 };
  return verdictLine(data.runs[place].severity, palette);
}

function verdictLine(severity, palette) {
  return { color: palette.verdicts[severity] ?? palette.inks.faint, width: severity === 'error' || severity === 'warning' ? 1.8 : 1.2 };
}

// The worst lie above the others, and the chosen one above all.
function drawingOrder() {
  const severities = Object.keys(data.glyphs);
  const depth = (place) => (place === state.run ? severities.length : severities.indexOf(data.runs[place].severity));
  return data.runs.map((_, place) => place).sort((a, b) => depth(a) - depth(b));
}

function drawComparison(state, palette) {
  const parent = document.getElementById('compare');
  if (!parent) return;
  const metric = metricByName.get(state.metric) ?? metricByName.get('geometry_effect') ?? data.metrics[0];
  const box = chartBox(parent, 'compare');
  nameChart(box, titleOf(metric));
  const order = drawingOrder();
  const traces = order.map((place) => {
    const run = data.runs[place];
    return lineOf(run, run.ofRun[metric.name] ?? run.steps.map(() => null), plain(run.name), runLine(place, palette), plain(run.name));
  });
  const decades = decadesOf(metric, traces);
  Plotly.react(box.plot, onDecades(traces, decades), layoutOf(metric, palette, decades), CONFIG);
  box.plot.removeAllListeners('plotly_click');
  box.plot.on('plotly_click', ({ points }) => showRun(order[points[0].curveNumber]));
  fillWhenOpened(box.details, () => tableOf(`${titleOf(metric)}, by run`, ['run', 'first', 'middle', 'last'], data.runs.map((run) => {
    const values = run.ofRun[metric.name] ?? [null];
    return [nameOf(run), values[0], values[values.length >> 1], values[values.length - 1]];
  })));
  document.getElementById('lines').replaceChildren(...(data.crowded ? verdictKeys(state, palette) : runKeys(state, palette)));
}

function nameOf(run) {
  return `${run.name} (${run.phase})`;
}

function runKeys(state, palette) {
  return data.runs.map((run, place) => element('li',
    { className: place === state.run ? 'shown' : '' }, swatch(runLine(place, palette)), ` ${nameOf(run)}`));
}

// The chosen run, and how many of the others have each verdict, the worst first.
function verdictKeys(state, palette) {
  const others = data.runs.filter((_, place) => place !== state.run);
  const kinds = Object.keys(data.glyphs).reverse().map((kind) => [kind, others.filter((run) => run.severity === kind).length]);
  const told = kinds.filter(([, count]) => count).map(([kind, count]) => element('li', {},
    swatch(verdictLine(kind, palette)), ` ${data.glyphs[kind]} ${data.labels[kind]}: ${count} run${count > 1 ? 's' : ''}`));
  return [element('li', { className: 'shown' }, swatch(runLine(state.run, palette)), ` ${nameOf(data.runs[state.run])}`), ...told];
}

function swatch({ color, width }) {
  const drawn = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  for (const [name, value] of Object.entries({ width: 30, height: 10, 'aria-hidden': 'true' })) drawn.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 0, x2: 30, y1: 5, y2: 5, stroke: color, 'stroke-width': Math.max(width, 2) })) line.setAttribute(name, value);
  drawn.append(line);
  return drawn;
}

// Plotly reads tags and templates in names: a run's name has to stay text.
function plain(name) {
  return name.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/%\{/g, '% {');
}
