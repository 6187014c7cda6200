package demo_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// printedCommand is a command that people are shown.
type printedCommand struct {
	where string
	words []string // its program first
	// whole: it is printed as it is to be typed, and not within a sentence.
	whole bool
}

// something stands for what a message fills in.
const something = "SOMETHING"

func programs() []string { return []string{"kubectl", "aws-auth-refresher", "eks-auth"} }

// commandsOfPages finds the commands of all pages: those in blocks, and those
// between backquotes in the text.
func commandsOfPages(t *testing.T) (all []printedCommand) {
	t.Helper()
	span := regexp.MustCompile("`([^`\n]+)`")
	for _, file := range filesOf(t, ".md") {
		if file == "docs/flags.md" {
			continue // generated from the commands themselves
		}
		text := readFile(t, file)
		block, language := []string(nil), ""
		for i, line := range strings.Split(text, "\n") {
			trimmed := strings.TrimSpace(line)
			where := fmt.Sprintf("%s:%d", file, i+1)
			switch {
			case strings.HasPrefix(trimmed, "```") && block == nil:
				block, language = []string{}, strings.TrimPrefix(trimmed, "```")
			case strings.HasPrefix(trimmed, "```"):
				all = append(all, commandsOfBlock(where, language, block)...)
				block = nil
			case block != nil:
				block = append(block, line)
			default:
				for _, m := range span.FindAllStringSubmatch(strings.ReplaceAll(line, `\|`, "|"), -1) {
					for _, words := range shellCommands(m[1]) {
						all = append(all, printedCommand{where: where, words: words})
					}
				}
			}
		}
	}
	return all
}

// commandsOfBlock finds them in a block, which ends there.
func commandsOfBlock(where, language string, lines []string) (all []printedCommand) {
	typed := regexp.MustCompile("^ *(" + strings.Join(programs(), "|") + ") [a-z-]")
	switch {
	case language == "console":
		lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(strings.TrimSpace(l), "$ ") })
		for i := range lines {
			lines[i] = strings.TrimPrefix(strings.TrimSpace(lines[i]), "$ ")
		}
	case language != "sh" && !slices.ContainsFunc(lines, typed.MatchString):
		return nil // output, or a manifest
	}
	for _, words := range shellCommands(strings.Join(lines, "\n")) {
		all = append(all, printedCommand{where: where, words: words, whole: true})
	}
	return all
}

// commandsOfAlerts finds them in the texts of the alerts, and in the comments of
// all manifests.
func commandsOfAlerts(t *testing.T) (all []printedCommand) {
	t.Helper()
	const alerts = "deploy/chart/files/alerts.yaml"
	var file struct {
		Groups []struct {
			Rules []struct {
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, alerts)), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			for _, text := range rule.Annotations {
				all = append(all, commandsOfText(alerts, text)...)
			}
		}
	}
	for _, file := range filesOf(t, ".yaml") {
		if strings.Contains(file, "testdata/") || strings.HasPrefix(file, "hack/") {
			continue
		}
		for _, comment := range regexp.MustCompile(`(?m)(^ *#.*\n)+`).FindAllString(readFile(t, file), -1) {
			all = append(all, commandsOfText(file, regexp.MustCompile(`\s*#\s*`).ReplaceAllString(comment, " "))...)
		}
	}
	return all
}

// commandsOfMessages finds them in all texts of the program.
func commandsOfMessages(t *testing.T) (all []printedCommand) {
	t.Helper()
	for _, file := range filesOf(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "hack/") {
			continue
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			expr, isExpr := n.(ast.Expr)
			if _, isImport := n.(*ast.ImportSpec); isImport || !isExpr {
				return !isImport
			}
			text, isText := textOf(expr)
			if !isText {
				return true
			}
			for line := range strings.SplitSeq(text, "\n") {
				all = append(all, commandsOfLine(files.Position(n.Pos()).String(), line)...)
			}
			return false
		})
	}
	return all
}

// textOf is a text of the source, with something for what is filled in.
func textOf(expr ast.Expr) (text string, ok bool) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return regexp.MustCompile(`%[sdqv]`).ReplaceAllString(text, something), err == nil
	case *ast.BinaryExpr:
		left, isLeft := textOf(e.X)
		right, isRight := textOf(e.Y)
		switch {
		case e.Op != token.ADD || !isLeft && !isRight:
			return "", false
		case !isLeft:
			left = something
		case !isRight:
			right = something
		}
		return left + right, true
	}
	return "", false
}

// commandsOfLine finds the commands of a line, which is an example where it is
// indented and begins with a program.
func commandsOfLine(where, line string) (all []printedCommand) {
	if !regexp.MustCompile("^  (" + strings.Join(programs(), "|") + ") ").MatchString(line) {
		return commandsOfText(where, line)
	}
	for _, words := range shellCommands(line) {
		all = append(all, printedCommand{where: where, words: words})
	}
	return all
}

// commandsOfText finds commands within a sentence. They end with the sentence's
// part, and one of ours where its flags end: what follows may be the sentence.
// Between backquotes they are whole.
func commandsOfText(where, text string) (all []printedCommand) {
	quoted := regexp.MustCompile("`([^`]+)`")
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		for _, words := range shellCommands(m[1]) {
			all = append(all, printedCommand{where: where, words: words})
		}
	}
	text = quoted.ReplaceAllString(text, "")
	partEnds := regexp.MustCompile("[,;)`]|\\. |\\.$|:(?: |$)| \\|")
	for _, program := range programs() {
		for _, at := range regexp.MustCompile("(?:^|[\\s(\"'`])"+program+" ").FindAllStringIndex(text, -1) {
			words := strings.Fields(partEnds.Split(text[at[1]:], 2)[0])
			if len(words) == 0 || isProse(program, words) {
				continue
			}
			words = words[:endOf(program, words)]
			if last := &words[len(words)-1]; *last != something {
				*last = strings.TrimSuffix(*last, something) // flags, or none
			}
			all = append(all, printedCommand{where: where, words: append([]string{program}, words...)})
		}
	}
	return all
}

// isProse tells whether words go on with a sentence about a program. A command
// that is misspelled is none of these, and is found out.
func isProse(program string, words []string) bool {
	prose := map[string]string{
		"kubectl":            "and asks at could does edit's into on or prints put puts reads sends starts there to would",
		"aws-auth-refresher": "authentication Deployment from has is keeps lets login manages must needs receives that was writes",
		"eks-auth":           "COMMAND gets is",
	}[program]
	edits := program == "kubectl" && len(words) > 1 && words[0] == "edit" && slices.Contains([]string{"adds", "deletes"}, words[1])
	return edits || words[0] == something || slices.Contains(strings.Fields(prose), words[0])
}

// endOf is where a command within a sentence ends: one of ours with its flags, and
// one of kubectl with the file that it is about.
func endOf(program string, words []string) int {
	if file := slices.Index(words, "-f") + 2; program == "kubectl" {
		if file < 2 || file > len(words) {
			return len(words)
		}
		return file
	}
	n := 1
	for n < len(words) && (strings.HasPrefix(words[n], "--") || n == 1 && words[0] == "authenticator") {
		n++
	}
	return n
}

// shellCommands gives the words of the commands in a text for a shell that begin
// with one of the programs, also where they stand in another command.
func shellCommands(text string) (all [][]string) {
	text = regexp.MustCompile(`(?s)<<-?'?(\w+)'?\n.*?\n\s*[A-Z]+\n`).ReplaceAllString(text, "\n")
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 1 && slices.Contains(programs(), words[0]) {
			all = append(all, words)
		}
		words = nil
	}
	runes := []rune(strings.ReplaceAll(text, "\\\n", " "))
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case quote != '\'' && c == '$' && i+1 < len(runes) && runes[i+1] == '(':
			from := i + 2
			i = closing(runes, from)
			all = append(all, shellCommands(string(runes[from:i]))...)
			word.WriteString(something)
			inWord = true
		case c == '\\' && quote != '\'' && i+1 < len(runes):
			i++
			word.WriteRune(runes[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == '#' && !inWord:
			for i < len(runes) && runes[i] != '\n' {
				i++
			}
			endCommand()
		case c == '\n' || c == '|' || c == ';' || c == '&':
			endCommand()
		case c == '>' || c == '<': // what follows is a file
			endWord()
			for i+1 < len(runes) && runes[i+1] == ' ' {
				i++
			}
			for i+1 < len(runes) && !strings.ContainsRune(" \n|;&", runes[i+1]) {
				i++
			}
		case c == ' ' || c == '\t':
			endWord()
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	endCommand()
	return all
}

// closing is where the parenthesis is closed that was opened before from.
func closing(runes []rune, from int) int {
	for i, depth := from, 1; i < len(runes); i++ {
		switch runes[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(runes)
}

// filesOf are the repository's files with an ending.
func filesOf(t *testing.T, ending string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", ".demo"}, path):
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(path) == ending:
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
