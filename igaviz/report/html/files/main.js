// What is chosen, and what follows from it.
const state = { run: 0, metric: VERDICT, step: 0, row: 0, column: 0 };
const control = (id) => document.getElementById(id);
const prefersDark = matchMedia('(prefers-color-scheme: dark)');
const printing = matchMedia('print');
let style = prefersDark.matches ? 'dark' : 'light';

// Paper is light, whatever the screen is.
function palette() {
  return data.palettes[printing.matches ? 'light' : style];
}

function applyStyle() {
  const root = document.documentElement.style;
  root.colorScheme = printing.matches ? 'light' : style;
  for (const [name, colour] of Object.entries({ ...palette().inks, ...palette().verdicts })) root.setProperty(`--${name}`, colour);
  control('theme').textContent = style === 'dark' ? 'Light' : 'Dark';
}

function stepName() {
  const run = data.runs[state.run];
  return `${run.steps[state.step].toLocaleString('en')}${run.fromMaps[state.step] ? ', maps' : ', numbers alone'}`;
}

// The grid and the head follow at once; the charts, and what is said, when the slider rests.
function drawStep() {
  const run = data.runs[state.run];
  control('step-name').textContent = stepName();
  control('step').setAttribute('aria-valuetext', `step ${stepName()}`);
  control('before').disabled = state.step === 0;
  control('after').disabled = state.step === run.steps.length - 1;
  const metric = metricByName.get(state.metric);
  control('shown').textContent = `${run.name} (${run.phase}), ${metric ? titleOf(metric) : 'verdict'}, step ${stepName()}`;
  paintGrid(state, palette());
  showHead(state);
  atRest(() => {
    nameCells(state);
    drawCourses(state, palette());
    control('live').textContent = `Step ${run.steps[state.step].toLocaleString('en')}, ${sayCell(state, state.row, state.column)}`;
  });
}

const loaded = []; // for each run a promise of its numbers

let resting = 0;
function atRest(act) {
  clearTimeout(resting);
  resting = setTimeout(act, 120);
}

function drawAll() {
  applyStyle();
  paintLegend(state, palette());
  drawStep();
  nameCells(state);
  drawComparison(state, palette());
}

// The first of the heads that a picture is of, else the first of the worst at this step.
function firstHead() {
  const run = data.runs[state.run];
  const pictured = pictures.find((picture) => picture.run === state.run);
  const severities = Object.keys(data.glyphs);
  let worst = -1;
  run.layers.forEach((_, row) => run.heads.forEach((__, column) => {
    const badness = severities.indexOf(verdictOf(state.run, state.step, row, column)?.severity);
    if (badness > worst) [worst, state.row, state.column] = [badness, row, column];
  }));
  if (worst < 0) [state.row, state.column] = [0, 0];
  if (pictured) [state.row, state.column] = [run.layers.indexOf(pictured.layer), run.heads.indexOf(pictured.head)];
}

function takeRun(place) {
  state.run = place;
  const run = data.runs[place];
  state.step = run.fromMaps.includes(true) ? run.fromMaps.lastIndexOf(true) : run.steps.length - 1;
  control('run').value = String(place);
  control('step').max = String(run.steps.length - 1);
  control('step').value = String(state.step);
  for (const id of ['before', 'step', 'after']) control(id).hidden = run.steps.length === 1;
  firstHead();
  buildGrid(state, choose);
}

function choose(row, column) {
  Object.assign(state, { row, column });
  drawStep();
}

function goTo(step) {
  state.step = Math.min(Math.max(step, 0), data.runs[state.run].steps.length - 1);
  control('step').value = String(state.step);
  drawStep();
}

async function showRun(place) {
  await loaded[place];
  takeRun(place);
  drawAll();
}

// A run of the table, the step since when it is sick, or the head of a finding.
async function follow(button) {
  await loaded[button.dataset.run];
  takeRun(Number(button.dataset.run));
  const run = data.runs[state.run];
  if (button.dataset.step !== undefined) {
    state.step = Math.max(run.steps.indexOf(Number(button.dataset.step)), 0);
    control('step').value = String(state.step);
  }
  if (button.dataset.layer !== undefined) {
    state.row = run.layers.indexOf(Number(button.dataset.layer));
    state.column = run.heads.indexOf(Number(button.dataset.head));
  } else if (button.dataset.step !== undefined) firstHead();
  drawAll();
  control('maps').scrollIntoView();
  cellAt(state.row, state.column)?.focus({ preventScroll: true });
}

function listen() {
  control('metric').addEventListener('change', (event) => {
    state.metric = event.target.value;
    drawAll();
  });
  control('run').addEventListener('change', (event) => showRun(Number(event.target.value)));
  control('step').addEventListener('input', (event) => goTo(Number(event.target.value)));
  control('before').addEventListener('click', () => goTo(state.step - 1));
  control('after').addEventListener('click', () => goTo(state.step + 1));
  control('theme').addEventListener('click', () => {
    style = style === 'dark' ? 'light' : 'dark';
    drawAll();
  });
  prefersDark.addEventListener('change', () => {
    style = prefersDark.matches ? 'dark' : 'light';
    drawAll();
  });
  printing.addEventListener('change', fitPaper);
  for (const button of document.querySelectorAll('button.run, button.since, button.show')) button.addEventListener('click', () => follow(button));
  new ResizeObserver(() => fitGrid() && paintGrid(state, palette())).observe(control('grid'));
}

// A chart keeps the width that it was drawn at, and nobody says how wide the paper is: these are
// CSS pixels that both A4 and Letter have.
const PAPER = { courses: 330, compare: 680 };

function fitPaper() {
  applyStyle();
  paintLegend(state, palette());
  drawStep();
  clearTimeout(resting);
  drawCourses(state, palette());
  drawComparison(state, palette());
  for (const [key, { plot }] of boxes) {
    const width = key === 'compare' ? PAPER.compare : PAPER.courses;
    Plotly.relayout(plot, printing.matches ? { width, height: width === PAPER.courses ? 190 : 300, autosize: false } : { width: null, height: null, autosize: true });
  }
}

// The worst run, at the top of the table, is shown as soon as it is there.
async function start() {
  const first = Number(document.querySelector('button.run').dataset.run);
  loaded[first] = load(data.runs[first], first);
  await loaded[first];
  control('metric').append(element('option', { value: VERDICT }, 'verdict'),
    ...data.metrics.map((metric) => element('option', { value: metric.name }, titleOf(metric))));
  takeRun(first);
  listen();
  drawAll();
  data.runs.forEach((run, place) => { loaded[place] ??= load(run, place); });
}

start();
