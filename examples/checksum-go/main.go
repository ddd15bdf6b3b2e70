// Checksum prints the SHA-256 digest, the size and the path of every file below the named folders, /inputs where none is
// named, and writes the same lines to /outputs/SHA256SUMS where there is such a folder.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	folders := os.Args[1:]
	if len(folders) == 0 {
		folders = []string{"/inputs"}
	}
	if err := checksum(folders); err != nil {
		fmt.Fprintln(os.Stderr, "checksum:", err)
		os.Exit(1)
	}
}

func checksum(folders []string) error {
	var lines bytes.Buffer
	for _, folder := range folders {
		// WalkDir goes in lexical order, so the lines are the same for the same files.
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			line, err := digest(path)
			if err != nil {
				return err
			}
			fmt.Print(line)
			lines.WriteString(line)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if info, err := os.Stat("/outputs"); err != nil || !info.IsDir() {
		return nil
	}
	return os.WriteFile("/outputs/SHA256SUMS", lines.Bytes(), 0o644)
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Sprintf("%x %d %s\n", hash.Sum(nil), size, path), nil
}
