// Layers × heads at one step: a table of buttons, by verdict or by a metric.
const VERDICT = 'verdict';

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function mixed(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [channels(stops[low]), channels(stops[low + 1])];
  return a.map((part, i) => Math.round(part + (b[i] - part) * (place - low)));
}

function inkOn(rgb) {
  const [r, g, b] = rgb.map((part) => (part / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? '#12161b' : '#ffffff';
}

function stopsOf(scale, palette) {
  if (scale.log || scale.low >= 0) return palette.maps.Reds;
  return scale.high <= 0 ? palette.maps.Blues_r : palette.maps.RdBu_r;
}

function shareOf(scale, value) {
  if (scale.log) return Math.log(value / scale.low) / Math.log(scale.high / scale.low);
  return (value - scale.low) / (scale.high - scale.low);
}

function paintVerdict(cell, verdict, palette) {
  const colour = verdict ? palette.verdicts[verdict.severity] : palette.inks.rule;
  cell.textContent = verdict ? data.glyphs[verdict.severity] : '';
  const sick = verdict && (verdict.severity === 'error' || verdict.severity === 'warning');
  const base = channels(palette.inks.paper);
  const rgb = channels(colour).map((part, i) => Math.round(part * (sick ? 1 : 0.14) + base[i] * (sick ? 0 : 0.86)));
  cell.style.background = `rgb(${rgb})`;
  cell.style.color = sick ? inkOn(rgb) : colour;
  return verdict ? `${verdict.severity}${verdict.check ? `, ${verdict.check} ${verdict.words}` : ''}` : 'not recorded';
}

function paintMetric(cell, metric, value, palette) {
  cell.textContent = short(value) === 'beyond' ? '∞' : short(value);
  const rgb = mixed(stopsOf(metric.scale, palette), shareOf(metric.scale, Number.isNaN(value) ? 0 : value));
  cell.style.background = `rgb(${rgb})`;
  cell.style.color = Number.isNaN(value) ? '' : inkOn(rgb);
  return `${metric.title} ${short(value)} ${Number.isFinite(value) ? metric.unit : ''}`;
}

function buildGrid(state, choose) {
  const run = data.runs[state.run];
  const table = element('table', { className: 'grid' });
  table.append(element('caption', { className: 'quiet' }, 'One button per head: rows are layers, columns are heads.'));
  const top = element('tr', {}, element('th', { scope: 'col' }, 'layer \\ head'));
  for (const head of run.heads) top.append(element('th', { scope: 'col' }, String(head)));
  table.append(element('thead', {}, top));
  const body = element('tbody');
  run.layers.forEach((layer, row) => {
    const line = element('tr', {}, element('th', { scope: 'row' }, String(layer)));
    run.heads.forEach((head, column) => {
      const cell = element('button', { type: 'button', className: 'cell', tabIndex: -1 });
      Object.assign(cell.dataset, { row, column });
      cell.addEventListener('click', () => choose(row, column));
      line.append(element('td', {}, cell));
    });
    body.append(line);
  });
  table.append(body);
  table.addEventListener('keydown', (event) => moveFocus(event, run));
  document.getElementById('grid').replaceChildren(table);
}

function cellAt(row, column) {
  return document.querySelector(`.cell[data-row="${row}"][data-column="${column}"]`);
}

function moveFocus(event, run) {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!by || !event.target.classList.contains('cell')) return;
  event.preventDefault();
  const row = Math.min(Math.max(Number(event.target.dataset.row) + by[0], 0), run.layers.length - 1);
  const column = Math.min(Math.max(Number(event.target.dataset.column) + by[1], 0), run.heads.length - 1);
  event.target.tabIndex = -1;
  const next = cellAt(row, column);
  next.tabIndex = 0;
  next.focus();
}

function paintGrid(state, palette) {
  const run = data.runs[state.run];
  const metric = metricByName.get(state.metric);
  const holder = document.getElementById('grid');
  holder.classList.toggle('compact', (holder.clientWidth - 78) / run.heads.length < 34);
  holder.classList.toggle('signs', !metric);
  const focused = document.activeElement?.closest?.('.cell');
  for (const cell of holder.querySelectorAll('.cell')) {
    const [row, column] = [Number(cell.dataset.row), Number(cell.dataset.column)];
    const verdict = verdictOf(state.run, state.step, row, column);
    const value = metric ? valueOf(state.run, metric.name, state.step, row, column) : 0;
    let said = paintVerdict(cell, verdict, palette);
    if (metric) said = `${paintMetric(cell, metric, value, palette)}; ${said}`;
    cell.classList.toggle('gone', metric ? Number.isNaN(value) : !verdict);
    const name = `layer ${run.layers[row]}, head ${run.heads[column]}: ${said}`;
    cell.setAttribute('aria-label', name);
    cell.title = name;
    const chosen = row === state.row && column === state.column;
    cell.setAttribute('aria-pressed', String(chosen));
    if (!focused) cell.tabIndex = chosen ? 0 : -1;
  }
  paintLegend(metric, palette);
  document.getElementById('means').textContent = metric
    ? `${metric.title}${metric.unit ? `, ${metric.unit}` : ''}: ${metric.means.replaceAll('`', '')}. Mean over the batch items.`
    : 'The verdict on each head: the worst check that it shows, as severe as the share of its layer\'s heads makes it.';
}

function paintLegend(metric, palette) {
  const legend = document.getElementById('legend');
  if (!metric) {
    legend.replaceChildren(...Object.entries(data.glyphs).map(([severity, glyph]) => {
      const sign = element('span', {}, `${glyph} ${severity}`);
      sign.style.color = palette.verdicts[severity];
      return sign;
    }));
    return;
  }
  const ramp = element('span', { className: 'ramp' });
  ramp.style.background = `linear-gradient(to right, ${stopsOf(metric.scale, palette).join(', ')})`;
  const wide = metric.scale.log ? ', log scale' : '';
  legend.replaceChildren(short(metric.scale.low), ramp, short(metric.scale.high), `one scale for all runs and steps${wide}; beyond it the end's colour`);
}
