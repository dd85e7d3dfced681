namespace Shinano.Control.Api.Xend;

/// <param name="Path">Absolute path of the file.</param>
/// <param name="LeaveRunning">The domain goes on afterwards (a checkpoint).</param>
/// <param name="LeavePaused">The domain stays, paused.</param>
public sealed record SaveRequest(string Path, bool LeaveRunning, bool LeavePaused);
