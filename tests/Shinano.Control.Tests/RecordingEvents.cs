using Shinano.Control.Api.Domains;

namespace Shinano.Control.Tests;

internal sealed class RecordingEvents : IDomainEvents
{
    public TaskCompletionSource<ShutdownReason> ShutDownReason { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Progress(BuildProgress progress)
    {
    }

    public void Started()
    {
    }

    public void DeviceEnded(string kind, string id)
    {
    }

    public void ShutDown(ShutdownReason reason) => ShutDownReason.TrySetResult(reason);
}
