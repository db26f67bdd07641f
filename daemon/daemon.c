/* SPDX-License-Identifier: MIT */
#include "daemon/daemon.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ask.h"
#include "daemon/bind.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/core/quota.h"
#include "daemon/drain.h"
#include "daemon/hot.h"
#include "daemon/keep.h"
#include "daemon/listener.h"
#include "daemon/log.h"
#include "daemon/machine.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/pressure.h"
#include "daemon/session.h"
#include "daemon/subscribe.h"
#include "daemon/tell.h"
#include "daemon/trace.h"
#include "daemon/varlink.h"
#include "daemon/web.h"

#define GROUP "rtgcd" /* who is in it sees everything */

struct daemon {
	struct daemon_options options;
	struct config *config;
	struct loop *loop;
	struct notify *notify;
	struct supervisor *core;
	struct quota *quota;
	struct drain *drain;
	struct hot *hot;
	struct pressure *pressure;
	struct varlink *varlink;
	struct web *web;
	struct asks *asks;
	struct tell *tell;
	struct trace *trace;
	struct control control;
	struct notify_fds fds;
	struct keep *keep; /* NULL: without a manager */
	struct bound runtime_bound, control_bound;
	struct listener *runtime_listener, *control_listener;
};

/* ---- what the parts need of each other ---------------------------------------------------------------- */

static void on_drain(void *userdata, uint64_t heap, uint64_t window, nsec_t lease)
{
	struct daemon *d = userdata;
	struct core_heap h;

	if (!supervisor_heap_after(d->core, heap - 1, loop_now(d->loop), &h) ||
	    h.id != heap)
		return;
	drain_request(d->drain, config_drain_of(d->config, h.service), h.name, h.service,
		      heap, window, lease);
}

static void on_renew(void *userdata, uint64_t window, nsec_t lease)
{
	struct daemon *d = userdata;

	drain_renew(d->drain, window, lease);
}

static void on_undrain(void *userdata, uint64_t window)
{
	struct daemon *d = userdata;

	drain_undrain(d->drain, window);
}

static bool in_group(void *userdata, uint32_t gid)
{
	const struct session *s = userdata;

	return peer_in_group(s->fd, &s->peer, gid);
}

static bool on_admit(void *userdata, const struct session *s, const char *service)
{
	struct daemon *d = userdata;

	return s->peer.uid == 0 || s->peer.uid == geteuid() ||
	       config_admits(d->config, service, s->peer.uid, in_group, (void *)s);
}

static void on_drained(void *userdata, uint64_t heap, uint64_t window, bool could)
{
	struct daemon *d = userdata;

	hot_drained(d->hot, heap, window, could);
}

static void on_answer(void *userdata, uint64_t heap, const struct wire_answer *answer)
{
	struct daemon *d = userdata;

	asks_answer(d->asks, heap, answer);
}

static void on_client(void *userdata, int fd)
{
	struct daemon *d = userdata;

	sessions_add(hot_sessions(d->hot), fd);
}

static void on_caller(void *userdata, int fd)
{
	struct daemon *d = userdata;

	varlink_add(d->varlink, fd);
}

static void on_turn(void *userdata)
{
	struct daemon *d = userdata;
	unsigned heaps;

	sessions_sweep(hot_sessions(d->hot));
	web_turn(d->web);
	heaps = supervisor_heaps(d->core);
	pressure_turn(d->pressure, heaps);
	tell_flush(d->tell);
	notify_status(d->notify, heaps, supervisor_services(d->core));
}

static void on_stop(void *userdata)
{
	struct daemon *d = userdata;

	loop_stop(d->loop);
}

/* ---- reload ---------------------------------------------------------------------------------------------- */

static int take_config(struct daemon *d, char **ret_error)
{
	struct quota_limits limits;
	struct config *config = NULL;
	int r = config_load(d->options.config, machine_cpus(), &config, ret_error);

	if (r < 0)
		return r;
	machine_limits(config, &limits);
	r = web_listen(d->web, config, ret_error);
	if (r == 0)
		r = supervisor_configure(d->core, &config->core, loop_now(d->loop));
	if (r < 0) {
		config_free(config);
		return r;
	}
	quota_configure(d->quota, &limits);
	trace_config(d->trace, &config->core);
	pressure_look_at(d->pressure, config->pressure_file);
	config_free(d->config);
	d->config = config;
	if (config_drains(config))
		drain_start(d->drain);
	return 0;
}

static int reload(void *userdata, char **ret_error)
{
	struct daemon *d = userdata;
	char *error = NULL;
	int r;

	notify_reloading(d->notify);
	r = take_config(d, &error);
	hot_settle(d->hot);
	if (r == 0)
		hot_review(d->hot);
	d->control.reload_ok = r == 0;
	if (r == 0)
		log_info("reloaded", "reloaded");
	else
		log_error("reload-failed", "%s: the old configuration stays",
			  error ? error : strerror(-r));
	notify_ready(d->notify);
	if (ret_error)
		*ret_error = error;
	else
		free(error);
	return r;
}

static void on_hangup(void *userdata)
{
	reload(userdata, NULL);
}

/* ---- making it ----------------------------------------------------------------------------------------------- */

/* Whoever starts it is told why it does not start. */
static int complain(const char *what, int r)
{
	if (r < 0)
		log_error("failed", "%s: %s", what, strerror(-r));
	return r;
}

static int listen_one(struct daemon *d, int fd, const char *option, const char *name,
		      const char *path, int type, struct bound *bound, listener_fn fn,
		      struct listener **ret)
{
	char *found = NULL;
	int r;

	if (fd < 0 && !path) {
		r = bind_default_path(name, &found);
		if (r == -ENXIO) {
			log_error("failed",
				  "XDG_RUNTIME_DIR is not set: say where with %s PATH",
				  option);
			return r;
		}
		if (r < 0)
			return complain(name, r);
		path = found;
	}
	if (fd < 0) {
		/* Who may do what is decided by the peer's uid, so everybody may connect. */
		r = bind_socket(path, type, 0666, UINT32_MAX, bound, &fd);
		if (r == -EADDRINUSE)
			log_error("failed", "%s: a running daemon listens there", path);
		else if (r == -EEXIST)
			log_error("failed", "%s: something that is no socket lies there",
				  path);
		else if (r < 0)
			log_error("failed", "%s: %s", path, strerror(-r));
		free(found);
		if (r < 0)
			return r;
	}
	return complain(name, listener_new(d->loop, d->quota, fd, name, fn, d, ret));
}

static int listen_both(struct daemon *d)
{
	int runtime = d->fds.runtime, control = d->fds.control, r;

	d->fds.runtime = d->fds.control = -1; /* they are the listeners' */
	r = listen_one(d, runtime, "--socket", "runtime.sock", d->options.socket,
		       SOCK_SEQPACKET, &d->runtime_bound, on_client,
		       &d->runtime_listener);
	if (r < 0) {
		if (control >= 0)
			close(control);
		return r;
	}
	return listen_one(d, control, "--control", "control.sock", d->options.control,
			  SOCK_STREAM, &d->control_bound, on_caller,
			  &d->control_listener);
}

static int listen_web(struct daemon *d)
{
	int fd = d->fds.http;

	d->fds.http = -1; /* it is the listener's */
	return web_start(d->web, d->config, fd);
}

static int watch_signals(struct daemon *d)
{
	int r = loop_signal(d->loop, SIGTERM, on_stop, d);

	/* The guard is the only child, and its socket tells when it ends. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = loop_signal(d->loop, SIGINT, on_stop, d);
	if (r == 0)
		r = loop_signal(d->loop, SIGHUP, on_hangup, d);
	return r;
}

static int make_core(struct daemon *d)
{
	struct quota_limits limits;
	char *error = NULL;
	int r = config_load(d->options.config, machine_cpus(), &d->config, &error);

	if (error)
		log_error("failed", "%s", error);
	else
		complain("configuration", r);
	free(error);
	if (r < 0)
		return r;
	machine_limits(d->config, &limits);
	r = complain("start", quota_new(geteuid(), &limits, &d->quota));
	if (r < 0)
		return r;
	r = complain("event loop", loop_new(&d->loop));
	if (r < 0)
		return r;
	return complain("start",
			supervisor_new(&d->config->core, loop_now(d->loop), &d->core));
}

static int take_state(struct daemon *d, uint64_t *epoch)
{
	int fd = d->fds.state;

	d->fds.state = -1;
	return keep_new(d->core, fd, epoch, &d->keep);
}

/* What a former run has left. */
static void restore(struct daemon *d)
{
	if (!d->keep)
		return;
	keep_restore(d->keep, d->hot);
	hot_keep(d->hot, d->keep);
}

static int make_edges(struct daemon *d)
{
	const struct hot_hooks hooks = {
		.drain = on_drain,
		.renew = on_renew,
		.undrain = on_undrain,
		.admit = on_admit,
		.answer = on_answer,
		.userdata = d,
	};
	const struct group *group = getgrnam(GROUP);
	uint64_t epoch = clock_epoch();
	int r = notify_manager() ? take_state(d, &epoch) : 0;

	if (r < 0)
		return r;
	d->control = (struct control){
		.loop = d->loop,
		.core = d->core,
		.quota = d->quota,
		.config = &d->config,
		.epoch = epoch,
		.started = loop_now(d->loop),
		.reload_ok = true,
		.reload = reload,
		.userdata = d,
	};
	r = notify_new(d->loop, &d->notify);
	if (r == 0)
		r = drain_new(d->loop, on_drained, d, &d->drain);
	if (r == 0)
		r = hot_new(d->loop, d->core, d->quota, &hooks, d->control.epoch,
			    &d->hot);
	if (r == 0)
		r = pressure_new(d->loop, d->core, d->hot, &d->pressure);
	if (r == 0)
		r = asks_new(d->loop, hot_sessions(d->hot), &d->asks);
	if (r == 0)
		r = tell_new(d->loop, d->core, d->hot, &d->tell);
	if (r == 0)
		r = trace_new(d->loop, d->core, d->tell, epoch, machine_cpus(),
			      &d->trace);
	if (r == 0)
		r = subscribers_new(d->loop, d->core, d->tell, epoch,
				    &d->control.subscribers);
	if (r == 0)
		r = varlink_new(d->loop, d->quota, &control_interface,
				group ? group->gr_gid : UINT32_MAX, &d->control,
				&d->varlink);
	if (r == 0)
		r = metrics_new(&d->control, &d->control.metrics);
	if (r == 0)
		r = web_new(&d->control, group ? group->gr_gid : UINT32_MAX, &d->web);
	if (r < 0)
		return r;
	d->control.latency = hot_latency(d->hot);
	d->control.hot = d->hot;
	d->control.trace = d->trace;
	d->control.pressure = d->pressure;
	pressure_look_at(d->pressure, d->config->pressure_file);
	d->control.asks = d->asks;
	d->control.sessions = hot_sessions(d->hot);
	d->control.varlink = d->varlink;
	d->control.web = d->web;
	trace_config(d->trace, &d->config->core);
	return 0;
}

int daemon_new(const struct daemon_options *options, struct daemon **ret)
{
	struct daemon *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return complain("start", -ENOMEM);
	d->options = *options;
	machine_raise_limit();
	notify_fds(&d->fds);
	r = make_core(d);
	if (r == 0)
		r = complain("start", make_edges(d));
	if (r == 0)
		restore(d);
	if (r == 0)
		r = complain("signals", watch_signals(d));
	if (r == 0)
		r = listen_both(d);
	if (r == 0)
		r = listen_web(d);
	if (r < 0) {
		daemon_free(d);
		return r;
	}
	if (config_drains(d->config))
		drain_start(d->drain);
	*ret = d;
	return 0;
}

int daemon_run(struct daemon *d)
{
	int r;

	log_info("started", "started: version %s, pid %d", PACKAGE_VERSION,
		 (int)getpid());
	notify_ready(d->notify);
	if (d->options.ready)
		d->options.ready(d->options.userdata);
	r = loop_run(d->loop, on_turn, d);
	if (r < 0)
		log_error("failed", "the event loop: %s", strerror(-r));
	else
		log_info("stopped", "stopped");
	return r;
}

/* Those that nobody has taken. */
static void close_fds(const struct notify_fds *fds)
{
	if (fds->runtime >= 0)
		close(fds->runtime);
	if (fds->control >= 0)
		close(fds->control);
	if (fds->http >= 0)
		close(fds->http);
	if (fds->state >= 0)
		close(fds->state);
}

struct daemon *daemon_free(struct daemon *d)
{
	if (!d)
		return NULL;
	d->notify = notify_free(d->notify);
	listener_free(d->runtime_listener);
	listener_free(d->control_listener);
	bind_remove(&d->runtime_bound);
	bind_remove(&d->control_bound);
	varlink_free(d->varlink);
	web_free(d->web);
	metrics_free(d->control.metrics);
	trace_free(d->trace);
	subscribers_free(d->control.subscribers);
	tell_free(d->tell);
	pressure_free(d->pressure);
	if (d->hot)
		hot_keep(d->hot, NULL); /* what is in force stays so for the next run */
	hot_free(d->hot);
	keep_free(d->keep);
	close_fds(&d->fds);
	asks_free(d->asks);
	drain_free(d->drain);
	supervisor_free(d->core);
	loop_free(d->loop);
	quota_free(d->quota);
	config_free(d->config);
	free(d);
	return NULL;
}
