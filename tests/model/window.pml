/* SPDX-License-Identifier: MIT */
/*
 * The window protocol: a daemon with K slots, N clients, and everything that can come between them.
 *
 * States bear the names of daemon/core/state.h, frames those of client/wire/wire.h. Above each
 * transition stands the function it is. A daemon is one thread, so each of its steps is atomic; frames
 * are queued. Time is no number here: an instant comes at any time after the one before, and whoever
 * looks at the clock sees the same (CLOCK_MONOTONIC on one host).
 *
 * What must hold:
 *	check()		never more than K pauses in windows, but for those that are counted
 *	served		who wants to collect does not wait for ever (ltl, weak fairness)
 *	given_back	no slot stays taken (the same)
 *
 * A ceiling is left out: with it nobody ever waits for the daemon at all.
 */
#ifndef N
#define N 3
#endif
#ifndef K
#define K 1
#endif

/*
 * What spoils the day happens so often in one run, whatever it is: the daemon starts again, a client dies,
 * hangs, loses its connection, misses its window or hands it back.
 */
#ifndef FAULTS
#define FAULTS 2
#endif

#define IDS 3 /* of windows: no more of a heap are under way */

mtype = { LEASE_NONE, LEASE_ANNOUNCED, LEASE_OPEN, LEASE_IN_USE }; /* enum lease_state */
mtype = { HELLO, QUIET, BEGIN, END, DECLINE, BYE, LOST };	   /* BYE also: it is dead */

/* ---- The daemon: struct heap and struct lease ---- */
bool up = true;
mtype lease[N] = LEASE_NONE;
byte lease_id[N];	/* stays when the lease is over: lease_begin() */
bool over_limit[N], adopted[N];
bool want[N];		/* due, as its figures say */
bool lost[N];		/* its connection is over, its process lives */
byte taken;
chan frames[N] = [2] of { mtype, byte };

/* ---- The clients: the page, and what is true of them whoever knows it ---- */
bool connected[N], greets[N], dead[N], hung[N]; /* greets: HELLO is under way */
mtype page[N] = LEASE_NONE; /* the slot's state, as the client last saw it */
byte page_id[N];
bool closed[N];		/* the clock is past `closes` of the window in the page */
byte pausing[N];	/* the window it pauses in; 0: it does not */
bool wants[N];
/* It pauses unknown to the daemon, which has counted why: expired, overruns, or a new epoch. */
bool counted[N];

byte faults = FAULTS;

/* ---- Safety ---- */

hidden byte c, pauses, exceptions, held;

inline check()
{
	d_step {
		pauses = 0; exceptions = 0; held = 0;
		for (c : 0 .. N - 1) {
			/* I-5: in its own window, which is in force, or it is counted. */
			assert(pausing[c] == 0 || counted[c] ||
			       (lease_id[c] == pausing[c] &&
				(lease[c] == LEASE_OPEN || lease[c] == LEASE_IN_USE)));
			/* An id that nobody can mean any more is free again. */
			if
			:: lease[c] == LEASE_NONE && pausing[c] == 0 && page[c] == LEASE_NONE &&
			   empty(frames[c]) -> lease_id[c] = 0; page_id[c] = 0; closed[c] = false
			:: else
			fi;
			if
			:: pausing[c] != 0 ->
				pauses++;
				if
				:: counted[c] || over_limit[c] || adopted[c] -> exceptions++
				:: else
				fi
			:: else
			fi;
			if
			:: lease[c] != LEASE_NONE && !over_limit[c] && !adopted[c] -> held++
			:: else
			fi
		}
		/* I-2 */
		assert(pauses <= K + exceptions);
		assert(held <= K)
	}
}

/* ---- lease.c ---- */

/* start(), take_slot() */
inline take(i, over)
{
	lease_id[i] = lease_id[i] % IDS + 1;
	over_limit[i] = over;
	adopted[i] = false;
	taken++
}

/* finish(), free_slot(): the page follows where somebody still looks at it */
inline finish(i)
{
	lease[i] = LEASE_NONE;
	over_limit[i] = false;
	adopted[i] = false;
	taken--;
	if
	:: connected[i] -> page[i] = LEASE_NONE; page_id[i] = 0; closed[i] = false
	:: else
	fi
}

/* lease_open() */
inline open(i)
{
	lease[i] = LEASE_OPEN;
	page[i] = (connected[i] -> LEASE_OPEN : page[i]);
	page_id[i] = (connected[i] -> lease_id[i] : page_id[i]);
	closed[i] = false
}

/* lease_grant(): announced where it can become quiet, else open at once */
inline grant(i, over)
{
	take(i, over);
	if
	:: lease[i] = LEASE_ANNOUNCED;
	   page[i] = LEASE_ANNOUNCED;
	   page_id[i] = lease_id[i]
	:: open(i)
	fi
}

/* lease_adopt(): counted, also over the limit */
inline adopt(i, id)
{
	lease[i] = LEASE_IN_USE;
	lease_id[i] = id;
	over_limit[i] = false;
	adopted[i] = true;
	counted[i] = false;
	taken++
}

/* lease_begin() */
inline lease_begin(i, id)
{
	if
	:: lease[i] == LEASE_OPEN && lease_id[i] == id -> lease[i] = LEASE_IN_USE
	/* It began in time, but the frame came after the expiry was handled. */
	:: lease[i] == LEASE_NONE && lease_id[i] == id && pausing[i] == id -> adopt(i, id)
	:: else /* CORE_E_WINDOW */
	fi
}

/* lease_end() */
inline lease_end(i, id)
{
	if
	:: lease[i] != LEASE_NONE && lease_id[i] == id -> finish(i)
	:: else
	fi;
	want[i] = false
}

/* ---- supervisor.c, hot.c ---- */

/* decline(): lease_revoke(REASON_DECLINED) */
inline decline(i, id)
{
	if
	:: lease[i] == LEASE_OPEN && lease_id[i] == id -> finish(i)
	:: else
	fi
}

/* hello(), join(), give_up_former(), forget_former() */
inline join(i, id)
{
	lost[i] = false;
	if
	:: lease[i] != LEASE_NONE -> finish(i)
	:: else
	fi;
	connected[i] = greets[i];
	greets[i] = false;
	if
	:: id != 0 && pausing[i] == id -> adopt(i, id)
	:: else
	fi;
	want[i] = wants[i]
}

/* leave(): lease_drop() */
inline leave(i)
{
	want[i] = false;
	if
	:: lease[i] != LEASE_NONE -> finish(i)
	:: else
	fi
}

/* lose() */
inline lose(i)
{
	lost[i] = true;
	if
	:: lease[i] == LEASE_ANNOUNCED -> finish(i)
	:: else
	fi
}

#define waiting(i) (up && want[i] && !lost[i] && lease[i] == LEASE_NONE && pausing[i] == 0)

/* What the daemon does for one heap: its frames, its timer, its place in the queue. */
proctype Heap(byte i)
{
	byte id;

end:	do
	/* event() */
	:: atomic { frames[i]?QUIET(id) ->
		if /* drained() */
		:: lease[i] == LEASE_ANNOUNCED && lease_id[i] == id -> open(i)
		:: else
		fi; check() }
	:: atomic { frames[i]?BEGIN(id) -> lease_begin(i, id); check() }
	:: atomic { frames[i]?END(id) -> lease_end(i, id); check() }
	:: atomic { frames[i]?DECLINE(id) -> decline(i, id); check() }
	:: atomic { frames[i]?HELLO(id) -> join(i, id); check() }
	:: atomic { frames[i]?BYE(id) -> leave(i); check() }
	:: atomic { frames[i]?LOST(id) -> lose(i); check() }
	/* lease_due(): the lead is over */
	:: atomic { up && lease[i] == LEASE_ANNOUNCED -> open(i); check() }
	/* lease_due(): lease_revoke(REASON_EXPIRED). Its BEGIN may be under way. */
	:: atomic { up && lease[i] == LEASE_OPEN && closed[i] ->
		counted[i] = (pausing[i] != 0); finish(i); check() }
	/* lease_due(): REASON_OVERRUN */
	:: atomic { up && lease[i] == LEASE_IN_USE && closed[i] ->
		counted[i] = (pausing[i] != 0); finish(i); check() }
	/* decide_dispatch() */
	:: atomic { waiting(i) && taken < K -> grant(i, false); check() }
	/* decide_timer(): must_at() has come, MaxDefer is over or memory is */
	:: atomic { waiting(i) && taken >= K -> grant(i, true); check() }
	/* report(): it will be full */
	:: atomic { up && connected[i] && wants[i] && !want[i] && pausing[i] == 0 &&
		empty(frames[i]) -> want[i] = true }
	od
}

/* The clock, as far as this heap's window goes. */
proctype Clock(byte i)
{
end:	do
	/* Nobody is there to use it, or to end it. */
	:: atomic { !closed[i] && (lease[i] == LEASE_OPEN || lease[i] == LEASE_IN_USE) &&
		(hung[i] || dead[i] || !connected[i]) -> closed[i] = true }
	/* A live client is late, or its pause is longer than its window. */
	:: atomic { !closed[i] && (lease[i] == LEASE_OPEN || lease[i] == LEASE_IN_USE) &&
		connected[i] && faults > 0 -> faults--; closed[i] = true }
	od
}

/* session.c, window.c, guard.c of libruntime */
proctype Client(byte i)
{
end:	do
	/* The budget is nearly used up. */
	:: atomic { !wants[i] && pausing[i] == 0 -> wants[i] = true }
	/* rtgc_quiet() */
	:: atomic { connected[i] && page[i] == LEASE_ANNOUNCED && nfull(frames[i]) ->
		frames[i]!QUIET(page_id[i]); page[i] = LEASE_NONE }
	/*
	 * guard: still open, by the page and by the clock. Its connection may be over and it has not
	 * noticed: a daemon that does not know the window learns of it by HELLO, and counts it then.
	 */
	:: atomic { page[i] == LEASE_OPEN && !closed[i] && pausing[i] == 0 && nfull(frames[i]) ->
		pausing[i] = page_id[i];
		counted[i] = (!connected[i] && !closed[i] &&
			(lease[i] == LEASE_NONE || lease_id[i] != page_id[i]));
		if
		:: connected[i] -> frames[i]!BEGIN(page_id[i])
		:: else
		fi; check() }
	/* rtgc_decline(), or it finds that the window is over */
	:: atomic { connected[i] && page[i] == LEASE_OPEN && pausing[i] == 0 && faults > 0 &&
		nfull(frames[i]) ->
		faults--; frames[i]!DECLINE(page_id[i]); page[i] = LEASE_NONE }
	/* rtgc_end() */
	:: atomic { pausing[i] != 0 && nfull(frames[i]) ->
		if
		:: connected[i] -> frames[i]!END(pausing[i])
		:: else
		fi;
		if
		:: page_id[i] == pausing[i] -> page[i] = LEASE_NONE; page_id[i] = 0
		:: else
		fi;
		pausing[i] = 0; counted[i] = false; wants[i] = false; check() }
	/* reconnect.c: what was not begun under the former epoch is void */
	:: atomic { up && !connected[i] && !greets[i] && nfull(frames[i]) ->
		page[i] = LEASE_NONE; page_id[i] = 0; greets[i] = true; frames[i]!HELLO(pausing[i]) }
	/* guard: nobody answers, the runtime's own policy collects */
	:: atomic { !connected[i] && wants[i] && pausing[i] == 0 ->
		page[i] = LEASE_NONE; page_id[i] = 0; wants[i] = false }
	:: atomic { connected[i] && faults > 0 && nfull(frames[i]) ->
		faults--; connected[i] = false; frames[i]!LOST(0) }
	/* Its pidfd tells: on_death() */
	:: atomic { i > 0 && faults > 0 && nfull(frames[i]) ->
		faults--; dead[i] = true; connected[i] = false; greets[i] = false; pausing[i] = 0; counted[i] = false;
		wants[i] = false; page[i] = LEASE_NONE; page_id[i] = 0; frames[i]!BYE(0); check() } -> break
	/* SIGSTOP, perhaps in the middle of a pause */
	:: atomic { i > 0 && faults > 0 -> faults--; hung[i] = true } -> break
	od
}

/* The daemon ends and starts again, with what it kept (state.c) or with nothing. */
proctype Restart()
{
	byte id;
	mtype what;

end:	do
	:: atomic { faults > 0 -> faults--; up = false;
		for (c : 0 .. N - 1) {
			connected[c] = false;
			greets[c] = false;
			do
			:: frames[c]?what(id)
			:: empty(frames[c]) -> break
			od
		}
		id = 0; what = 0 }
	   if
	   /* keep_restore(), lease_restore(): what may be in use is, until its time is over */
	   :: atomic { for (c : 0 .. N - 1) {
			want[c] = false;
			lost[c] = true;
			if
			:: dead[c] && lease[c] != LEASE_NONE -> finish(c) /* peer_find(): -ESRCH */
			:: !dead[c] && lease[c] == LEASE_ANNOUNCED -> finish(c)
			:: !dead[c] && (lease[c] == LEASE_OPEN || lease[c] == LEASE_IN_USE) ->
				adopted[c] = true
			:: else
			fi
		}
		up = true; check() }
	   /* take_state() found nothing: a new epoch that knows nobody */
	   :: atomic { for (c : 0 .. N - 1) {
			want[c] = false;
			lost[c] = false;
			counted[c] = (pausing[c] != 0);
			if
			:: lease[c] != LEASE_NONE -> finish(c)
			:: else
			fi
		}
		up = true; check() }
	   fi
	od
}

init {
	atomic {
		for (c : 0 .. N - 1) {
			connected[c] = true;
			run Heap(c);
			run Clock(c);
			run Client(c)
		}
		run Restart()
	}
}

/* ---- Liveness, of the first client: it neither dies nor hangs, the others may ---- */

ltl served { [] (wants[0] -> <> !wants[0]) }
ltl given_back { [] (lease[N - 1] != LEASE_NONE -> <> (lease[N - 1] == LEASE_NONE)) }
