/* SPDX-License-Identifier: MIT */
#include "daemon/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define WANTED                                                                   \
	"not a loopback address with a port like 127.0.0.1:9190 or [::1]:9190, " \
	"or the absolute path of a socket"
#define PORT_MOST 65535

static bool parse_port(const char *text, in_port_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || end - text > 5 || port > PORT_MOST)
		return false;
	*ret = htons((in_port_t)port);
	return true;
}

/* host: the digits of the address, without brackets. */
static bool parse_host(const char *host, bool six, struct http_where *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->address.storage;
	struct sockaddr_in *in = (struct sockaddr_in *)&ret->address.storage;

	if (six) {
		in6->sin6_family = AF_INET6;
		ret->size = sizeof(*in6);
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	ret->size = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static const char *parse_internet(const char *text, struct http_where *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->address.storage;
	const char *colon = strrchr(text, ':');
	bool six = *text == '[';
	char host[INET6_ADDRSTRLEN + 1];
	in_port_t port;
	size_t n;

	if (!colon || colon == text || (six && colon[-1] != ']') ||
	    !parse_port(colon + 1, &port))
		return WANTED;
	n = (size_t)(colon - text) - (six ? 2 : 0);
	if (n >= sizeof(host))
		return WANTED;
	memcpy(host, text + six, n);
	host[n] = '\0';
	if (!parse_host(host, six, ret))
		return WANTED;
	if (!http_where_is_local(&ret->address.any))
		return "not a loopback address: it would be open to others than this host";
	/* (The port lies at the same place in both.) */
	in6->sin6_port = port;
	return NULL;
}

const char *http_where_parse(const char *text, struct http_where *ret)
{
	struct http_where where = {0};
	struct sockaddr_un *un = (struct sockaddr_un *)&where.address.storage;
	const char *path = strncmp(text, "unix:", 5) == 0 ? text + 5 : text, *error;

	if (*path == '/') {
		if (strlen(path) >= sizeof(un->sun_path))
			return "the path is longer than 107 bytes";
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, path);
		where.size = sizeof(*un);
		where.path = path;
	} else {
		error = path == text ? parse_internet(text, &where) : WANTED;
		if (error)
			return error;
	}
	*ret = where;
	return NULL;
}

bool http_where_is_local(const struct sockaddr *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;

	switch (address->sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	default:
		return false;
	}
}

void http_where_write(const struct sockaddr *address, char ret[HTTP_ADDRESS_MAX])
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	char host[INET6_ADDRSTRLEN] = "";

	switch (address->sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(ret, HTTP_ADDRESS_MAX, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(ret, HTTP_ADDRESS_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
		break;
	default:
		snprintf(ret, HTTP_ADDRESS_MAX, "%s", un->sun_path);
	}
}

bool http_where_is_host(const char *host)
{
	const char *colon = strrchr(host, ':');
	char name[64];
	struct in_addr in;
	size_t n = strlen(host);
	in_port_t port;

	if (colon && host[n - 1] != ']') {
		if (!parse_port(colon + 1, &port))
			return false;
		n = (size_t)(colon - host);
	}
	if (n == 0 || n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
	       (inet_pton(AF_INET, name, &in) == 1 && ntohl(in.s_addr) >> 24 == 127);
}
