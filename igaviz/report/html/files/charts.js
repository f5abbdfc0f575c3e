// Courses over the steps, drawn by plotly, each with its numbers as a table behind it.
function chartBox(parent, title) {
  const plot = element('div', { className: 'plot', role: 'img', 'aria-label': `${title} over the steps; the numbers are in the table below` });
  const details = element('details', {}, element('summary', {}, 'Numbers'));
  parent.append(element('div', { className: 'chart' }, element('h3', {}, title), plot, details));
  return { plot, details };
}

function titleOf(metric) {
  return `${metric.title}${metric.unit ? `, ${metric.unit}` : ''}`;
}

// Decades are told apart where what is drawn spans many.
function spansDecades(metric, traces) {
  const known = traces.flatMap((trace) => trace.y).filter((y) => y > 0);
  return metric.scale.log && Math.max(...known) > 50 * Math.min(...known);
}

function layoutOf(metric, palette, step, log) {
  const { ink, faint, rule } = palette.inks;
  const axis = { gridcolor: rule, linecolor: faint, zeroline: false, tickfont: { color: faint, size: 12 }, automargin: true };
  return {
    margin: { l: 52, r: 12, t: 10, b: 36 }, showlegend: false, hovermode: 'closest',
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: 'system-ui, "DejaVu Sans", sans-serif', size: 12, color: ink },
    xaxis: { ...axis, title: { text: 'step', font: { color: faint }, standoff: 4 }, showgrid: false, tickformat: ',' },
    yaxis: { ...axis, type: log ? 'log' : 'linear', exponentformat: 'power', ...(log ? { dtick: 1 } : {}), rangemode: log || metric.scale.low < 0 ? 'normal' : 'tozero', nticks: 6 },
    shapes: step === null ? [] : [{ type: 'line', x0: step, x1: step, yref: 'paper', y0: 0, y1: 1, line: { color: faint, width: 1, dash: 'dot' } }],
  };
}

const CONFIG = { displayModeBar: false, responsive: true };

function tableOf(head, rows) {
  const top = element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)));
  const lines = rows.map(([first, ...others]) => element('tr', {},
    element('th', { scope: 'row' }, first), ...others.map((value) => element('td', {}, short(value)))));
  const table = element('table', {}, element('thead', {}, top), element('tbody', {}, ...lines));
  return element('div', { className: 'data', tabIndex: 0, role: 'region', 'aria-label': 'Numbers of the chart' }, table);
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

const boxes = new Map();

function drawCourses(state, palette) {
  const run = data.runs[state.run];
  const L = run.layers.length;
  for (const name of data.trajectories.filter((metric) => metricByName.has(metric))) {
    const metric = metricByName.get(name);
    if (!boxes.has(name)) boxes.set(name, chartBox(document.getElementById('courses'), titleOf(metric)));
    const box = boxes.get(name);
    const traces = run.layers.map((layer, row) => ({
      x: run.steps, y: run.byLayer[name][row], name: `layer ${layer}`, mode: run.steps.length > 1 ? 'lines' : 'markers',
      line: { color: `rgb(${mixed(palette.order, L > 1 ? row / (L - 1) : 1)})`, width: row === state.row ? 3 : 1.6 },
      hovertemplate: `layer ${layer}, step %{x:,}: %{y:.3g}<extra></extra>`,
    }));
    if (state.row !== null) {
      const own = run.steps.map((_, t) => valueOf(state.run, name, t, state.row, state.column));
      traces.push({ x: run.steps, y: own.map((v) => (Number.isFinite(v) ? v : null)), name: 'head', mode: run.steps.length > 1 ? 'lines' : 'markers',
        line: { color: palette.inks.query, width: 2.2, dash: 'dash' }, hovertemplate: 'the head, step %{x:,}: %{y:.3g}<extra></extra>' });
    }
    Plotly.react(box.plot, traces, layoutOf(metric, palette, run.steps[state.step], spansDecades(metric, traces)), CONFIG);
    fillWhenOpened(box.details, () => tableOf(['step', ...run.layers.map((layer) => `layer ${layer}`)],
      run.steps.map((step, t) => [step.toLocaleString('en'), ...run.layers.map((_, row) => run.byLayer[name][row][t])])));
  }
  const head = state.row === null ? '' : ` Dashed: layer ${run.layers[state.row]}, head ${run.heads[state.column]}.`;
  document.getElementById('courses-note').textContent = `${run.name}: each layer's median over its heads, pale for layer ${run.layers[0]} to strong for layer ${run.layers[L - 1]}.${head}`;
}

function drawComparison(state, palette) {
  const parent = document.getElementById('compare');
  if (!parent) return;
  const metric = metricByName.get(state.metric) ?? metricByName.get('geometry_effect') ?? data.metrics[0];
  parent.replaceChildren();
  const box = chartBox(parent, titleOf(metric));
  const dashes = ['solid', 'dash', 'dot', 'dashdot'];
  const traces = data.runs.map((run, place) => ({
    x: run.steps, y: run.ofRun[metric.name] ?? run.steps.map(() => null), name: plain(`${run.name} (${run.phase})`), mode: run.steps.length > 1 ? 'lines' : 'markers',
    line: { color: palette.lines[place % palette.lines.length], width: 2.2, dash: dashes[Math.floor(place / palette.lines.length) % 4] },
    hovertemplate: `${plain(run.name)}, step %{x:,}: %{y:.3g}<extra></extra>`,
  }));
  const layout = { ...layoutOf(metric, palette, null, spansDecades(metric, traces)), showlegend: true, legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0, font: { size: 13 } } };
  layout.margin.t = 40;
  Plotly.newPlot(box.plot, traces, layout, CONFIG);
  fillWhenOpened(box.details, () => tableOf(['run', 'first', 'middle', 'last'], data.runs.map((run) => {
    const values = run.ofRun[metric.name] ?? [null];
    return [`${run.name} (${run.phase})`, values[0], values[values.length >> 1], values[values.length - 1]];
  })));
}

// Plotly reads tags and templates in names: a run's name has to stay text.
function plain(name) {
  return name.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/%\{/g, '% {');
}
