package epoll_test

import (
	"testing"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
	"github.com/aioloop/aioloop/backend/epoll"
)

func TestConformance(t *testing.T) {
	backendtest.Test(t, func() (backend.Poller, error) { return epoll.New() })
}
