package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/joho/godotenv"
	"github.com/spf13/pflag"
)

// loadDotEnv puts the variables of .env in the working directory into the
// environment, where nothing is said that means the same.
func loadDotEnv() error {
	text, err := os.ReadFile(".env")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf(".env in the working directory cannot be read: %w", err)
	}
	variables, err := parseDotEnv(string(text))
	if err != nil {
		return err
	}
	given := func(name string) bool { return os.Getenv(name) != "" }
	// All of them before the first is set, which is not the environment's word.
	maps.DeleteFunc(variables, func(name, _ string) bool { return slices.ContainsFunc(sameVariables(name), given) })
	for name, value := range variables {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf(".env in the working directory: %w", err)
		}
	}
	return nil
}

// parseDotEnv reads NAME=value lines with quotes and comments. A dollar stands
// for itself: secrets hold some, and no variable is put in its place. The error
// quotes nothing of the file, which holds secrets.
func parseDotEnv(text string) (map[string]string, error) {
	const dollar = "\x00" // which no value can hold
	if strings.Contains(text, dollar) {
		return nil, errors.New(".env in the working directory is not a text file; each line of it is NAME=value")
	}
	lines := strings.SplitAfter(strings.ReplaceAll(text, "$", dollar)+"\n", "\n") // a last line without end would pass for empty
	variables, err := godotenv.Unmarshal(strings.Join(lines, ""))
	if err != nil {
		good := len(lines) - 1 // so many lines can be read; what follows cannot
		for ; good > 0; good-- {
			if _, err := godotenv.Unmarshal(strings.Join(lines[:good], "")); err == nil {
				break
			}
		}
		return nil, fmt.Errorf(".env in the working directory cannot be read at line %d: each line is NAME=value, with quotes around values with spaces", good+1)
	}
	for name, value := range variables {
		variables[name] = strings.ReplaceAll(value, dollar, "$")
	}
	return variables, nil
}

// sameVariables are a variable and those that mean the same: another name of its
// flag, or the file that the value stands in.
func sameVariables(name string) []string {
	same := []string{name}
	for alias, flag := range loginProxyAliases() {
		switch name {
		case envName(alias):
			same = append(same, envName(flag))
		case envName(flag):
			same = append(same, envName(alias))
		}
	}
	if rest, ok := strings.CutSuffix(name, "_FILE"); ok {
		return append(same, rest)
	}
	return append(same, name+"_FILE")
}

// givenFlags tells whether the command line has a flag, or the one that takes
// the same from a file. Both count before variables are read.
func givenFlags(flags *pflag.FlagSet) func(name string) bool {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) {
		given[f.Name] = true
		if rest, ok := strings.CutSuffix(f.Name, "-file"); ok {
			given[rest] = true
		} else {
			given[f.Name+"-file"] = true
		}
	})
	return func(name string) bool { return given[name] }
}

// wants says in words what a flag takes.
func wants(f *pflag.Flag) string {
	switch kind := f.Value.Type(); {
	case f.Name == "iam-session-duration":
		return "a whole number of seconds, as 3600"
	case kind == "bool":
		return "true or false"
	case kind == "int":
		return "a whole number"
	case kind == "duration":
		return "a duration, as 90m or 12h"
	default:
		return "a " + kind
	}
}

// flagError says what is wrong with a flag as the rest of the program does.
func flagError(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s is %q; write %s", invalid.GetFlag().Name, invalid.GetValue(), wants(invalid.GetFlag()))
	}
	return err
}
