/* SPDX-License-Identifier: MIT */
#include "daemon/varlink_service.h"

#include <string.h>

static const char service_description[] =
	"# What every Varlink service offers.\n"
	"interface " VARLINK_SERVICE "\n\n"
	"method GetInfo() -> (vendor: string, product: string, version: string, "
	"url: string, interfaces: []string)\n\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
	"error InterfaceNotFound (interface: string)\n\n"
	"error MethodNotFound (method: string)\n\n"
	"error MethodNotImplemented (method: string)\n\n"
	"error InvalidParameter (parameter: string)\n\n"
	"error PermissionDenied ()\n\n"
	"error ExpectedMore ()\n";

static void get_info(struct varlink_call *call, json_t *parameters, void *userdata)
{
	varlink_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "rtgcd",
				      "product", "rtgcd", "version", PACKAGE_VERSION,
				      "url", "", "interfaces", VARLINK_SERVICE,
				      varlink_interface(call)->name));
}

static void get_description(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const char *name = json_string_value(json_object_get(parameters, "interface"));
	const char *text;

	if (!name) {
		varlink_invalid(call, "interface");
		return;
	}
	if (strcmp(name, VARLINK_SERVICE) == 0) {
		text = service_description;
	} else if (strcmp(name, varlink_interface(call)->name) == 0) {
		text = varlink_interface(call)->description;
	} else {
		varlink_error(call, VARLINK_SERVICE ".InterfaceNotFound",
			      json_pack("{s:s}", "interface", name));
		return;
	}
	varlink_reply(call, json_pack("{s:s}", "description", text));
}

static const struct varlink_method service_methods[] = {
	{"GetInfo", get_info},
	{"GetInterfaceDescription", get_description},
	{NULL, NULL},
};

const struct varlink_interface varlink_service = {
	.name = VARLINK_SERVICE,
	.description = service_description,
	.methods = service_methods,
};
