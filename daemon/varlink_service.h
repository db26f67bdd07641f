/* SPDX-License-Identifier: MIT */
/* The interface org.varlink.service, which every Varlink service has. */
#ifndef RTGCD_VARLINK_SERVICE_H
#define RTGCD_VARLINK_SERVICE_H

#include "daemon/varlink.h"

#define VARLINK_SERVICE "org.varlink.service"

extern const struct varlink_interface varlink_service;

#endif
