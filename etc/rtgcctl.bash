# SPDX-License-Identifier: MIT
# Completion of rtgcctl(1) for bash. What may come next is the program's own to say.

# Bash breaks words at = and : as well; rtgcctl does not. Sets the caller's words.
_rtgcctl_words()
{
	local line=${COMP_LINE:0:COMP_POINT} word i
	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		((i < COMP_CWORD)) || word=$line
		if ((i == 0)) || [[ $line == [[:space:]]* ]]; then
			line=${line#"${line%%[![:space:]]*}"}
			((i < COMP_CWORD)) || word=$line
			words+=("$word")
		else
			words[-1]+=$word
		fi
		line=${line#"$word"}
	done
}

_rtgcctl()
{
	local words typed line candidate cut=
	_rtgcctl_words
	words=("${words[@]//\\/}")
	typed=${words[-1]}
	if [[ $COMP_WORDBREAKS == *=* && $typed == *=* ]]; then
		cut=${typed%"${typed##*=}"}
	fi
	if [[ $COMP_WORDBREAKS == *:* && ${typed#"$cut"} == *:* ]]; then
		cut=${typed%"${typed##*:}"}
	fi
	COMPREPLY=()
	while IFS= read -r line; do
		candidate=${line%%$'\t'*}
		if [[ ! $candidate ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "${typed#"$cut"}")
			return
		fi
		[[ $candidate != *[.=] ]] || compopt -o nospace
		printf -v candidate %q "${candidate#"$cut"}"
		COMPREPLY+=("$candidate")
	done < <("${COMP_WORDS[0]}" complete "${words[@]:1}" 2>/dev/null)
}

complete -F _rtgcctl rtgcctl
