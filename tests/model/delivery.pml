/*
 * How jobs are delivered: claim, settle, renew, compare, reclaim, promote and release, with two nodes of one worker and
 * one maintenance (the supervisor's side) each. A script of queue/scripts, or a command, is one step here, as it is in Redis.
 * Between any two steps anything may happen: a process or a whole node dies, a worker freezes and wakes up when its job
 * has long been given away, connections are cut and commands arrive late or never, Redis's clock leaps.
 *
 * What is left out, because nothing here depends on it: queues (each is on its own), the order of jobs, payloads, batches
 * (a batch is its outcomes, one after the other), more than one running job a worker, cancelling, reports' times to live.
 *
 * `tests/model/run` checks the claims below in every run there is. Then it breaks the rules of the protocol, one at a
 * time (the macros that begin with BREAK_), and expects the claim that rests on that rule to fail.
 */

/* ---- Sizes ---- */

#ifndef JOBS
#define JOBS 2
#endif
#ifndef FAULTS
#define FAULTS 1 /* or 0: a death, a freeze, or a worker that is told to stop */
#endif
#ifndef CUTS
#define CUTS 1 /* a worker's connections are lost, with what is on its way in either direction */
#endif
#ifndef LEAPS
#define LEAPS 1 /* Redis was paused, or its clock was set: every consumer looks as if it had been silent for long */
#endif

#ifndef SAME_HOST
#define SAME_HOST false /* or true; false is decided anew where it matters, when a supervisor dies */
#endif

#define NODES     2
#define CONSUMERS 3 /* a worker that is started anew has a new name */
#define ATTEMPTS  2
#define IDS       4 /* of entries, a job: one that nobody refers to any more is as good as a new one */
#define ENTRIES   (JOBS * IDS)
#define EXPIRED   2 /* a consumer that was not heard of for over 3/4 of a lease */

#define EACH_CONSUMER(x) x(1) x(2) x(3)
#if JOBS == 1
#define EACH_ENTRY(x) x(1) x(2) x(3) x(4)
#else
#define EACH_ENTRY(x) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8)
#endif

/* ---- Claims ---- */

#define NOT_LOST       1  /* A job is in the stream, pending, delayed or ended, */
#define NOT_COPIED     2  /* and in only one of these places. */
#define ENDS_ONCE      4  /* It ends once, as done or as dead, */
#define ENDS_ONE_WAY   8  /* never as both. */
#define SETTLED_ONCE   16 /* A run whose outcome was written, or whose job was given away, has no effect any more. */
#define CHARGED_ENOUGH 32 /* A job that was charged its attempts does not run again. */
#define KEEPS_ITS_JOB  64 /* Nothing is taken from a worker that is well. */

#ifndef CLAIMS
#define CLAIMS 127
#endif
#define claim(which, holds) assert(!(CLAIMS & which) || (holds))

/* After a finite number of faults each job ends, and nothing is left of consumers whose process is gone. */
#define has_ended(j) (job[j].done + job[j].dead > 0)
#define leftover(c)  (consumer[c].exists && worker[c].life == GONE)
#define is_tidy(c)   && !leftover(c)
#define all_is_well  (has_ended(1) && has_ended(JOBS) EACH_CONSUMER(is_tidy))
#ifdef LIVENESS
ltl all_ends_well { [] <> all_is_well }
#endif

/* ---- Redis. Everything is numbered from 1; 0 is none. ---- */

typedef Entry {
    byte job;    /* 0: there is no entry of that ID in the stream */
    byte owner;  /* the consumer for which it is pending */
    bool given;  /* it lies before the group's last delivered ID */
    byte charges /* the attempts that count against the job */
};
typedef Job {
    byte delayed; /* how often it is a member of the delayed set */
    byte body;    /* the charges in the message that is kept meanwhile */
    byte done;    /* how often it has ended so */
    byte dead;
    byte entry    /* where BREAK_NEW_ID: the ID that it had */
};
typedef Consumer {
    bool exists;
    byte idle /* how often time has moved since it was heard of, up to EXPIRED */
};

Entry entry[ENTRIES + 1];
Job job[JOBS + 1];
Consumer consumer[CONSUMERS + 1];

/* ---- Processes, and what is on its way between them and Redis ---- */

mtype:life = {UNBORN, ALIVE, FROZEN, GONE}
mtype:stage = {
    FREE,
    RUNNING, /* Redis has given it; whether that has arrived shows when the connection is cut */
    OWING,   /* its outcome is to be sent, again or for the first time */
    ANSWERED /* Redis has decided, but the answer may not have arrived */
}
mtype:outcome = {DONE, DEAD, RETRY, RETURN}

typedef Worker { /* behind the consumer of the same number */
    mtype:life life;
    byte node;
    bool orphan;   /* its supervisor is dead */
    bool stopping;
    bool up;       /* it is connected; when it is free, it is also waiting for a job */
    mtype:stage stage; /* what it does with the entry that it holds, or with what Redis has just said of it */
    byte held;
    mtype:outcome outcome;
    byte job;      /* where BREAK_XACK: what the settlement is about */
    bool behind;   /* it has to compare what it holds with what is pending for it */
    bool sure;     /* it has, and nothing happened to it since */
    bool spent;    /* seen by the claims only: what it holds has been settled or given away */
    bool late_fetch; /* commands that Redis may still read from a connection that is no more: a fetch, */
    byte late_held;  /* and a settlement */
    mtype:outcome late_outcome;
    byte late_job;
    bool late_spent
};
typedef Maintenance {
    bool alive;
    byte worker;    /* its present worker */
    byte mourned;   /* its worker that has ended and is to be dealt with */
    byte reclaimed; /* the silent consumer whose reclaim is on its way */
#ifdef BREAK_RECHECK_SLICE
    bool begun;     /* a slice of that has been given back */
#endif
    byte promoted;  /* where BREAK_PROMOTE: the job whose promotion is half done */
    byte seen[CONSUMERS + 1] /* a look has found it EXPIRED: 1: since time moved, 2: before; and it was silent since */
};

Worker worker[CONSUMERS + 1];
Maintenance maintenance[NODES + 1];
bool same_host = SAME_HOST; /* both nodes see each other's processes */
byte born;      /* consumers so far */
byte faults = FAULTS, cuts = CUTS, leaps = LEAPS;

#define is_there(c) (worker[c].life == ALIVE || worker[c].life == FROZEN)
#define is_well(c)  (worker[c].life == ALIVE && worker[c].up)

/* Working space within a step, and not part of the state. */
hidden byte i, e, n, j, k, places;

/* ---- Scripts and commands ---- */

/* An ID of job `j` that nobody refers to, in `e`. */
inline find_id()
{
    e = (j - 1) * IDS;
    places = 1;
    do
    :: places > 0 ->
        e++;
        assert(e <= j * IDS);
        places = entry[e].job;
        for (i : 1 .. CONSUMERS) {
            places = places + (worker[i].held == e) + (worker[i].late_held == e)
        }
    :: else -> break
    od
}

/* XADD of job `j` with its charges `k`, under a new ID; `old` is the one that it had. */
inline add(old)
{
#ifdef BREAK_NEW_ID
    e = old;
#else
    find_id();
#endif
    entry[e].job = j;
    entry[e].charges = k
}

/* XACK and XDEL. Leaves the job in `j` and its charges in `k`. */
inline take_off(which)
{
    j = entry[which].job;
    k = entry[which].charges;
    for (i : 1 .. CONSUMERS) {
        worker[i].spent = worker[i].spent || worker[i].held == which;
        worker[i].late_spent = worker[i].late_spent || worker[i].late_held == which
    }
    entry[which].job = 0;
    entry[which].owner = 0;
    entry[which].given = false;
    entry[which].charges = 0
}

inline check_places()
{
    for (j : 1 .. JOBS) {
        places = job[j].delayed + job[j].done + job[j].dead;
        for (n : (j - 1) * IDS + 1 .. j * IDS) {
            places = places + (entry[n].job == j && (entry[n].owner > 0 || !entry[n].given))
        }
        claim(NOT_LOST, places >= 1);
        claim(NOT_COPIED, places <= 1);
        claim(ENDS_ONCE, job[j].done + job[j].dead <= 1);
        claim(ENDS_ONE_WAY, job[j].done == 0 || job[j].dead == 0)
    }
    places = 0
}

/* Any command by which a worker reads; one that only renews its lease reads from where there is nothing. */
inline touch(c)
{
    consumer[c].exists = true;
    consumer[c].idle = 0;
    maintenance[1].seen[c] = 0;
    maintenance[2].seen[c] = 0
}

/* XREADGROUP: the claim. */
inline fetch(c, which)
{
    entry[which].given = true;
#ifndef BREAK_PENDING
    entry[which].owner = c;
#endif
    touch(c);
    check_places()
}

/* settle.lua: what is not pending has been dealt with. */
inline settle(which, what, is_spent, whose)
{
    if
#ifdef BREAK_XACK
    :: true ->
        claim(SETTLED_ONCE, !is_spent);
        take_off(which);
        j = whose;
#else
    :: entry[which].owner > 0 ->
        claim(SETTLED_ONCE, !is_spent);
        take_off(which);
#endif
        if
        :: what == DONE -> job[j].done++
        :: what == DEAD -> job[j].dead++
        :: what == RETRY ->
            claim(CHARGED_ENOUGH, k + 1 < ATTEMPTS);
            job[j].delayed++;
            job[j].body = k + 1;
#ifdef BREAK_NEW_ID
            job[j].entry = which
#endif
        :: what == RETURN -> add(which)
        fi;
        check_places()
    :: else
    fi
}

/* promote.lua. */
inline promote(which)
{
    j = which;
    k = job[j].body;
    add(job[j].entry);
    job[j].delayed--;
    job[j].body = 0;
    job[j].entry = 0;
    check_places()
}

inline delete_consumer(c)
{
    consumer[c].exists = false;
    consumer[c].idle = 0;
    maintenance[1].seen[c] = 0;
    maintenance[2].seen[c] = 0
}

/* reclaim.lua: a slice, which is one entry here; Redis has the oldest first, and any may be it here. The consumer goes
 * in the step after which it holds nothing. */
inline reclaim(c)
{
    claim(KEEPS_ITS_JOB, !(is_well(c) && worker[c].sure));
    e = 0;
    for (n : 1 .. ENTRIES) {
        e = (entry[n].owner == c -> n : e)
    }
    if
    :: e > 0 ->
        n = e;
        take_off(n);
        claim(CHARGED_ENOUGH, k < ATTEMPTS);
        add(n)
    :: else
    fi;
#ifndef BREAK_SLICE
    places = 0;
    for (n : 1 .. ENTRIES) {
        places = places + (entry[n].owner == c)
    }
    if
    :: places == 0 -> delete_consumer(c)
    :: else
    fi;
#else
    delete_consumer(c);
    for (n : 1 .. ENTRIES) {
        entry[n].owner = (entry[n].owner == c -> 0 : entry[n].owner)
    }
#endif
    check_places()
}

/* The same for a consumer that may live: it must not have been heard of meanwhile, nor between two slices. */
inline reclaim_silent(m, c)
{
    if
#ifndef BREAK_RECHECK
    :: consumer[c].exists && consumer[c].idle == EXPIRED ->
        reclaim(c);
#ifdef BREAK_RECHECK_SLICE
        maintenance[m].begun = true
    :: consumer[c].exists && consumer[c].idle < EXPIRED && maintenance[m].begun -> reclaim(c)
#endif
    :: else -> maintenance[m].reclaimed = 0
#else
    :: consumer[c].exists -> reclaim(c)
    :: else -> maintenance[m].reclaimed = 0
#endif
    fi;
    maintenance[m].reclaimed = (consumer[c].exists -> maintenance[m].reclaimed : 0);
#ifdef BREAK_RECHECK_SLICE
    maintenance[m].begun = maintenance[m].begun && maintenance[m].reclaimed > 0
#endif
}

/* release.lua: a consumer for which something is pending stays. */
inline release(c)
{
    places = 0;
    for (n : 1 .. ENTRIES) {
        places = places + (entry[n].owner == c)
    }
    if
#ifndef BREAK_RELEASE
    :: places == 0 -> delete_consumer(c)
    :: else
#else
    :: delete_consumer(c);
        for (n : 1 .. ENTRIES) {
            entry[n].owner = (entry[n].owner == c -> 0 : entry[n].owner)
        }
        check_places()
#endif
    fi
}

/* ---- Workers ---- */

#define is_waiting(c) \
    (is_there(c) && worker[c].up && worker[c].stage == FREE && !worker[c].behind && !worker[c].stopping)
#define is_on_offer(e)   (entry[e].job > 0 && !entry[e].given)
#define is_unknown(c, e) (entry[e].owner == c && worker[c].held != e)

inline forget_run(c)
{
    worker[c].held = 0;
    worker[c].stage = FREE;
    worker[c].outcome = 0;
    worker[c].job = 0;
    worker[c].spent = false
}

inline forget_late(c)
{
    worker[c].late_held = 0;
    worker[c].late_outcome = 0;
    worker[c].late_job = 0;
    worker[c].late_spent = false
}

inline send_late(c)
{
    worker[c].late_held = worker[c].held;
    worker[c].late_outcome = worker[c].outcome;
    worker[c].late_job = worker[c].job;
    worker[c].late_spent = worker[c].spent
}

inline take(c, which)
{
    worker[c].held = which;
    worker[c].stage = RUNNING;
    worker[c].spent = entry[which].owner != c;
#ifdef BREAK_XACK
    worker[c].job = entry[which].job
#endif
}

/* Asks for all that is pending for it, after it was silent, over a connection that is new, and also now and then: that
 * Redis has served a read of a connection that is no more shows nowhere else. What is not its own any more it does not
 * run to the end; what never reached it, it runs. */
inline compare(c)
{
    touch(c);
    worker[c].sure = true;
    worker[c].behind = false;
    if
    :: worker[c].stage == RUNNING && entry[worker[c].held].owner != c -> forget_run(c)
    :: else
    fi;
    for (n : 1 .. ENTRIES) {
        if
        :: is_unknown(c, n) && worker[c].stage == FREE -> take(c, n)
        :: is_unknown(c, n) && worker[c].stage != FREE -> worker[c].behind = true
        :: else
        fi
    }
    n = 0
}

inline choose_outcome(c)
{
    if
    :: worker[c].outcome = DONE
    :: worker[c].outcome = DEAD
    :: entry[worker[c].held].charges + 1 < ATTEMPTS -> worker[c].outcome = RETRY
    :: worker[c].stopping -> worker[c].outcome = RETURN
    fi;
    worker[c].stage = OWING
}

/* Its connections are gone, and with them what was on its way to it. What was on its way to Redis may be read later. */
inline disconnect(c)
{
    if
    :: is_waiting(c) -> worker[c].late_fetch = true
    :: worker[c].stage == RUNNING && worker[c].up -> forget_run(c)
    :: worker[c].stage == RUNNING && worker[c].up -> choose_outcome(c); send_late(c)
    :: worker[c].stage == OWING && worker[c].up -> send_late(c)
    :: worker[c].stage == ANSWERED -> worker[c].stage = OWING
    :: skip
    fi;
    worker[c].up = false;
    worker[c].sure = false
}

/* The process ends. Its supervisor, if it lives, knows from the scoreboard what it held. */
inline end(c)
{
    worker[c].life = GONE;
    worker[c].behind = false;
    worker[c].stopping = false;
    if
    :: worker[c].orphan -> forget_run(c)
    :: else -> maintenance[worker[c].node].mourned = c
    fi
}

#define FETCH(e) \
    :: d_step { is_waiting(c) && is_on_offer(e) -> fetch(c, e); take(c, e) } \
    :: d_step { worker[c].late_fetch && is_on_offer(e) -> fetch(c, e); worker[c].late_fetch = false }

#ifndef BREAK_COMPARE
#define MISSES(e) || is_unknown(c, e)
#define misses_some(c) (false EACH_ENTRY(MISSES))
#else
#define misses_some(c) false
#endif

proctype Work(byte c)
{
    do
    EACH_ENTRY(FETCH)
    :: atomic {
        worker[c].life == ALIVE && (worker[c].stage == RUNNING || worker[c].stage == OWING && worker[c].up) ->
        if
        :: worker[c].stage == RUNNING -> choose_outcome(c)
        :: else
        fi;
        if
        :: worker[c].up -> d_step {
            settle(worker[c].held, worker[c].outcome, worker[c].spent, worker[c].job);
            worker[c].stage = ANSWERED;
            if
            :: cuts == 0 && faults == 0 -> forget_run(c) /* nothing is left that could hold up the answer */
            :: else
            fi
        }
        :: else
        fi
    }
    :: d_step { worker[c].life == ALIVE && worker[c].stage == ANSWERED && worker[c].up -> forget_run(c) }
    :: d_step { worker[c].life == ALIVE && !worker[c].up -> worker[c].up = true; worker[c].behind = true }
    :: d_step { is_well(c) && worker[c].behind && !worker[c].sure -> compare(c) }
    :: d_step { is_well(c) && worker[c].stage == FREE && (worker[c].behind || misses_some(c)) -> compare(c) }
    :: d_step {
        is_well(c) && worker[c].stopping && worker[c].stage == FREE && !worker[c].behind ->
        release(c);
        worker[c].up = false;
        end(c)
    }
    /* What it sent over a connection that is no more. */
    :: d_step {
        worker[c].late_held > 0 ->
        settle(worker[c].late_held, worker[c].late_outcome, worker[c].late_spent, worker[c].late_job);
        forget_late(c)
    }
    od
}

/* ---- Maintenance ---- */

inline start_worker(m)
{
    born++;
    worker[born].life = ALIVE;
    worker[born].stage = FREE;
    worker[born].node = m;
    worker[born].up = true;
    worker[born].sure = true;
    maintenance[m].worker = born
}

/* The supervisor settles the job that has killed its worker as one that failed; it comes before the reclaim. */
inline charge(c)
{
    if
#ifdef BREAK_CHARGE
    :: true -> settle(worker[c].held, RETRY, worker[c].spent, worker[c].job)
#endif
    :: entry[worker[c].held].charges + 1 < ATTEMPTS -> settle(worker[c].held, RETRY, worker[c].spent, worker[c].job)
    :: else -> settle(worker[c].held, DEAD, worker[c].spent, worker[c].job)
    fi;
    forget_run(c)
}

#define sees(m, c)     (same_host || worker[c].node == m)
#define is_dead(m, c)  (sees(m, c) && worker[c].life == GONE && worker[c].orphan)
#define may_look(m, c) (maintenance[m].alive && maintenance[m].reclaimed == 0 && consumer[c].exists)
#if defined(BREAK_LEASE)
#define is_silent_at(m, c) false
#elif defined(BREAK_TRUST)
#define is_silent_at(m, c) (consumer[c].idle == EXPIRED && (!sees(m, c) || worker[c].orphan))
#else
#define is_silent_at(m, c) (consumer[c].idle == EXPIRED)
#endif
#ifdef BREAK_TWO_LOOKS
#define LOOKS 0
#else
#define LOOKS 2
#endif

#define LOOK(c) \
    :: d_step { may_look(m, c) && is_dead(m, c) -> reclaim(c) } \
    :: d_step { may_look(m, c) && is_silent_at(m, c) && maintenance[m].seen[c] == 0 -> maintenance[m].seen[c] = 1 } \
    :: d_step { \
        may_look(m, c) && is_silent_at(m, c) && maintenance[m].seen[c] == LOOKS -> \
        maintenance[m].seen[c] = 0; \
        maintenance[m].reclaimed = c \
    }

#ifndef BREAK_PROMOTE
#define PROMOTE(j) :: d_step { maintenance[m].alive && job[j].delayed > 0 -> promote(j) }
#else
#define PROMOTE(j) \
    :: d_step { maintenance[m].alive && job[j].delayed > 0 && maintenance[m].promoted == 0 -> add_promoted(j); maintenance[m].promoted = j } \
    :: d_step { maintenance[m].promoted == j -> job[j].delayed = 0; maintenance[m].promoted = 0 }

inline add_promoted(which)
{
    j = which;
    k = job[j].body;
    add(0);
    check_places()
}
#endif

proctype Keep(byte m)
{
    do
    EACH_CONSUMER(LOOK)
    :: d_step { maintenance[m].reclaimed > 0 -> reclaim_silent(m, maintenance[m].reclaimed) }
    PROMOTE(1)
#if JOBS > 1
    PROMOTE(2)
#endif
    :: d_step { maintenance[m].mourned > 0 && worker[maintenance[m].mourned].held > 0 -> charge(maintenance[m].mourned) }
    :: d_step { maintenance[m].mourned > 0 && worker[maintenance[m].mourned].held > 0 -> forget_run(maintenance[m].mourned) }
    :: d_step {
        maintenance[m].mourned > 0 && worker[maintenance[m].mourned].held == 0 ->
        reclaim(maintenance[m].mourned);
        if
        :: consumer[maintenance[m].mourned].exists
        :: else -> maintenance[m].mourned = 0; start_worker(m)
        fi
    }
    od
}

/* ---- Time ---- */

/* It moves on by so much that a worker that is well has renewed its lease. Where nobody is silent it need not. */
#define is_silent(c) (consumer[c].exists && !is_well(c) && consumer[c].idle < EXPIRED)
#define DUE(c)       && (!is_well(c) || consumer[c].idle == 0)
#define SILENT(c)    || is_silent(c)
#define SEEN(c)      || maintenance[1].seen[c] == 1 || maintenance[2].seen[c] == 1
#define RENEW(c)     :: d_step { is_well(c) && consumer[c].idle > 0 -> touch(c) }

proctype Time()
{
    do
    EACH_CONSUMER(RENEW)
    :: d_step {
        true EACH_CONSUMER(DUE) && (false EACH_CONSUMER(SILENT) EACH_CONSUMER(SEEN)) ->
        for (i : 1 .. CONSUMERS) {
            consumer[i].idle = (is_silent(i) -> consumer[i].idle + 1 : consumer[i].idle);
            maintenance[1].seen[i] = (maintenance[1].seen[i] == 1 -> 2 : maintenance[1].seen[i]);
            maintenance[2].seen[i] = (maintenance[2].seen[i] == 1 -> 2 : maintenance[2].seen[i])
        }
        i = 0
    }
    od
}

/* ---- Faults ---- */

inline kill_worker(c)
{
    disconnect(c);
    end(c)
}

/* What it has sent may be read all the same. Its worker notices and stops, unless it has just died with it. */
inline kill_keeper(m)
{
    maintenance[m].alive = false;
    if
    :: maintenance[m].reclaimed > 0 -> maintenance[m].reclaimed = 0
    :: skip
    fi;
    if
    :: same_host = true
    :: skip
    fi;
    d_step {
        for (i : 1 .. CONSUMERS) {
            maintenance[m].seen[i] = 0;
            worker[i].orphan = worker[i].orphan || worker[i].node == m;
            worker[i].stopping = worker[i].stopping || (is_there(i) && worker[i].node == m)
        }
        if
        :: maintenance[m].mourned > 0 -> forget_run(maintenance[m].mourned)
        :: else
        fi;
        maintenance[m].mourned = 0
    }
}

#define FAULT :: atomic { faults > 0 &&
#define CUT(c) :: atomic { cuts > 0 && is_there(c) && worker[c].up -> cuts--; disconnect(c) }
/* While the reclaim of a silent consumer is on its way, a leap could hide that it has come back. */
#define is_doubted(m) (maintenance[m].reclaimed > 0)

/* Both nodes are the same, so that the fault happens to the first. */
proctype Fail()
{
    do
    FAULT is_there(1) -> faults--; kill_worker(1) }
    FAULT true -> faults--; kill_keeper(1) }
    FAULT is_there(1) -> faults--; kill_worker(1); kill_keeper(1) }
    :: atomic { !maintenance[1].alive && born < CONSUMERS -> maintenance[1].alive = true; start_worker(1) }
    FAULT worker[1].life == ALIVE -> faults--; worker[1].stopping = true }
    FAULT worker[1].life == ALIVE -> faults--; worker[1].life = FROZEN; worker[1].sure = false }
    :: atomic { worker[1].life == FROZEN -> worker[1].life = ALIVE; worker[1].behind = true }
    EACH_CONSUMER(CUT)
    :: d_step {
        leaps > 0 && !is_doubted(1) && !is_doubted(2) ->
        leaps--;
        for (i : 1 .. CONSUMERS) {
            consumer[i].idle = (consumer[i].exists -> EXPIRED : 0)
        }
        i = 0
    }
#ifdef LIVENESS
    :: break /* no fault has to happen, and no node has to come back */
#endif
    od
}

init {
    d_step {
        for (n : 1 .. NODES) {
            maintenance[n].alive = true;
            start_worker(n)
        }
        for (j : 1 .. JOBS) {
            k = 0;
            add((j - 1) * IDS + 1)
        }
#ifdef HOLDS_BOTH /* the first worker has been given both jobs, and runs one of them */
        fetch(1, 1);
        fetch(1, IDS + 1);
        take(1, 1);
#endif
        check_places()
    };
    atomic { run Work(1); run Work(2); run Work(3); run Keep(1); run Keep(2); run Time(); run Fail() }
}
