/* SPDX-License-Identifier: MIT */
/*
 * What the files of the HTTP listener share: http_listen.c listens, http_client.c has the connections,
 * http.c takes requests and answers them, http_memory.c has a reserve of memory.
 */
#ifndef RTGCD_HTTP_PRIVATE_H
#define RTGCD_HTTP_PRIVATE_H

#include "client/wire/list.h"
#include "daemon/bind.h"
#include "daemon/core/quota.h"
#include "daemon/http.h"
#include "daemon/http_address.h"
#include "daemon/peer.h"

#define HTTP_ROUTES 32

struct bufferevent;
struct event_base;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_connection;
struct evhttp_request;

struct http_listening {
	struct evhttp_bound_socket *socket; /* NULL: it does not */
	struct bound bound;		    /* the file of a Unix socket of ours */
	char address[HTTP_ADDRESS_MAX];	    /* where it listens */
	char *text;			    /* what was asked for; NULL: nothing was */
};

struct http {
	struct list link; /* of all of them */
	struct loop *loop;
	struct quota *quota;
	uint32_t group;
	struct evhttp *evhttp;
	struct http_listening own, adopted;
	struct loop_timer rested;   /* accepts again */
	struct loop_timer deadline; /* of some client */
	struct list clients;	    /* who was silent longest comes first */
	struct {
		const char *path;
		http_fn fn;
		void *userdata;
	} routes[HTTP_ROUTES];
	size_t n_routes;
};

struct http_request {
	struct http_client *client;
	struct evhttp_request *evreq; /* NULL: there is none to be answered */
	bool head;
	void (*ended)(void *userdata); /* NULL: nobody minds */
	void *userdata;
};

struct http_client {
	struct http *http;
	struct list link;
	/* Held besides evhttp, which has let go of it when it has no callback any more. */
	struct bufferevent *bev;
	bool fresh;	/* nothing is known of it yet */
	bool local;	/* by a Unix socket */
	bool answering; /* until the answer has gone */
	bool closing;
	struct peer peer; /* who it is, by a Unix socket */
	nsec_t deadline;
	struct quota_charge charge, bytes;
	struct http_request request;
};

/* ---- http_listen.c ---- */
void http_listen_deinit(struct http *h);

/* ---- http_memory.c ---- */
void http_memory_init(void);
void http_memory_deinit(void);
/* Fills up what is kept for when there is none; false: there is too little for another connection. */
bool http_memory_keep(void);

/* ---- http_client.c ---- */
/* For evhttp: what a connection is made of. */
struct bufferevent *http_client_new(struct event_base *base, void *userdata);
/* NULL: it is not known. */
struct http_client *http_client_find(struct http *h, const struct bufferevent *bev);
/* It has begun, or come to the end of, a request. */
void http_client_alive(struct http_client *c, bool answering);
void http_client_close_all(struct http *h);
/* evhttp has let go of all of them. */
void http_client_free_all(struct http *h);

/* ---- http.c ---- */
void http_requested(struct evhttp_request *evreq, void *userdata);

#endif
