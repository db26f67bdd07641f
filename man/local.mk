# SPDX-License-Identifier: MIT
dist_man_MANS += \
	man/libruntime.3 \
	man/rtgc-protocol.7 \
	man/rtgcctl.1 \
	man/rtgcd-events.5 \
	man/rtgcd.8 \
	man/rtgcd.conf.5
