// What the same operations cost with Node's AsyncLocalStorage, in nanoseconds: a line for each, its name, a tab, the figure. See
// tests/bench/context. One value of weft's context is one storage here.
"use strict";

const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
const { randomFill } = require("node:crypto");
const fs = require("node:fs");

const SAMPLES = 12, OFTEN = 200000, SOMETIMES = 20000, SELDOM = 2000;
const best = new Map();
const storages = Array.from({ length: 32 }, () => new AsyncLocalStorage());
const nowhere = fs.openSync("/dev/null", "w");
const nothing = () => 0;
let sink = 0;

function note(name, began, count) {
    const sample = Number(process.hrtime.bigint() - began) / count;
    best.set(name, Math.min(sample, best.get(name) ?? Infinity));
}

function timed(name, count, operation) {
    const began = process.hrtime.bigint();
    for (let i = 0; i < count; i++)
        sink += operation() === undefined ? 1 : 2;
    note(name, began, count);
}

function nest(values, fn) {
    return values === 0 ? fn() : storages[values - 1].run("some text", () => nest(values - 1, fn));
}

// Calls fn where so many storages have a value; with 0, outside of all. Those of other measurements are switched off: they would
// cost as much as if they had one.
function inContext(values, fn) {
    storages.forEach((storage) => storage.disable());
    return nest(values, fn);
}

function inDepth(depth, fn) {
    return depth === 0 ? fn() : storages[1].run(depth, () => inDepth(depth - 1, fn));
}

const user = storages[0];

// Without it a resource costs twenty times as much, because the collector is asked to watch it.
const unwatched = { requireManualDestroy: true };

function measureReading() {
    timed("bare call", OFTEN, nothing);
    for (const values of [1, 10, 32])
        inContext(values, () => timed(`get ${values}`, OFTEN, () => user.getStore()));
    for (const depth of [10, 1000])
        inContext(1, () => inDepth(depth, () => timed(`get depth ${depth}`, OFTEN, () => user.getStore())));
    timed("get at root", OFTEN, () => user.getStore());
}

function measureRunning() {
    for (const values of [0, 1, 10, 32])
        inContext(values, () => timed(`capture ${values}`, SOMETIMES, () => new AsyncResource("bench", unwatched)));
    inContext(10, () => {
        const resource = new AsyncResource("bench", unwatched);
        timed("run in", SOMETIMES, () => resource.runInAsyncScope(nothing));
    });
    for (const values of [1, 8, 32])
        inContext(values, () => timed(`run with ${values}`, SOMETIMES, () => user.run("another", nothing)));
}

// As weft's lines: the time, the level, whose it is, the message.
function log(fields) {
    const text = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`).join("");
    fs.writeSync(nowhere, `${new Date().toISOString()} INFO  ${user.getStore()} order 12345 stored${text}\n`);
}

function measureLogging() {
    inContext(1, () => timed("log 0", SELDOM, () => log({})));
    inContext(1, () => timed("log 3", SELDOM, () => log({ order: 12345, customer: "acme", total: 99.5 })));
}

// setImmediate comes nearest to a timer of no time.
function turn(name, values, count) {
    return new Promise((resolve) => inContext(values, () => {
        const began = process.hrtime.bigint();
        let left = count;
        const fire = () => {
            if (--left === 0) {
                note(name, began, count);
                resolve();
            }
        };
        for (let i = 0; i < count; i++)
            setImmediate(fire);
    }));
}

async function spawn() {
    return 0;
}

async function yieldOften(times) {
    for (let i = 0; i < times; i++)
        await undefined;
}

async function measureAsync() {
    await turn("event, root", 0, 6400);
    await turn("event, context", 10, 6400);
    for (const [name, fn, count, apart] of [["spawn", spawn, 1000, false], ["yield, same", () => yieldOften(20), 20000, false],
        ["yield, different", () => yieldOften(20), 20000, true]]) {
        const began = process.hrtime.bigint();
        await inContext(10, () => Promise.all(Array.from({ length: 1000 }, () => apart ? user.run("another", fn) : fn())));
        note(name, began, count);
    }
    const buffer = Buffer.alloc(1), began = process.hrtime.bigint();
    await inContext(10, async () => {
        for (let i = 0; i < 200; i++)
            await new Promise((resolve) => randomFill(buffer, resolve));
    });
    note("offload", began, 200);
}

async function main() {
    for (let sample = 0; sample < SAMPLES; sample++) {
        measureReading();
        measureRunning();
        measureLogging();
        await measureAsync();
    }
    for (const [name, ns] of best)
        console.log(`${name}\t${ns.toFixed(2)}`);
}

main();
