module github.com/aioloop/aioloop

go 1.25.0

require (
	github.com/iceber/iouring-go v0.0.0-20230403020409-002cfd2e2a90
	golang.org/x/sys v0.47.0
)
