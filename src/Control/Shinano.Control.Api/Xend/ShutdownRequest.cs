namespace Shinano.Control.Api.Xend;

/// <param name="Reason">"poweroff", "halt" or "reboot": what is written to control/shutdown (docs/misc/xenstore-paths).</param>
public sealed record ShutdownRequest(string Reason);
