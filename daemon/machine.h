/* SPDX-License-Identifier: MIT */
/* What there is of the machine: CPUs and descriptors. */
#ifndef RTGCD_MACHINE_H
#define RTGCD_MACHINE_H

struct config;
struct quota_limits;

/* Those it may run on. */
unsigned machine_cpus(void);
/* As many descriptors as are to be had. */
void machine_raise_limit(void);
/* What others may have of the daemon, with the descriptors it has. */
void machine_limits(const struct config *config, struct quota_limits *ret);

#endif
