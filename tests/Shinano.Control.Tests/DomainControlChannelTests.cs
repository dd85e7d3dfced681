using System.Buffers.Binary;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using StreamJsonRpc;

namespace Shinano.Control.Tests;

public sealed class DomainControlChannelTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_failure_arrives_with_its_code_and_message()
    {
        await using ChannelPair pair = await ChannelPair.OpenAsync();
        pair.Process.BuildFailure = new DomainFailure(DomainFailureCode.NotAKernel, "/etc/passwd: neither ELF nor bzImage");

        RemoteInvocationException e = await Assert.ThrowsAnyAsync<RemoteInvocationException>(() => pair.Domain.BuildAsync(Cancellation));

        Assert.Equal(pair.Process.BuildFailure, DomainFailureException.TryRead(e));
    }

    [Fact]
    public async Task Status_survives_the_wire()
    {
        await using ChannelPair pair = await ChannelPair.OpenAsync();
        await pair.Domain.BuildAsync(Cancellation);
        DomainStatus status = await pair.Domain.GetStatusAsync(Cancellation);

        Assert.Equal(DomainStates.Paused, status.State);
        Assert.Equal(pair.Process.Spec.Vcpus, status.Vcpus.Count);
        Assert.Equal(FakeDomainProcess.BuildResult, status.Build);
    }

    [Fact]
    public async Task A_message_above_the_limit_ends_the_connection_unread()
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        string path = Path.Combine(Path.GetTempPath(), $"sh-{Guid.NewGuid():N}"[..16]);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(path), Cancellation);
        using Socket hostile = await listener.AcceptAsync(Cancellation);
        File.Delete(path);
        (JsonRpc rpc, IDomainProcess domain) = DomainControlChannel.Connect(new NetworkStream(client, ownsSocket: true), new RecordingEvents());
        Task<DomainHello> hello = domain.HelloAsync(Cancellation);
        byte[] header = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(header, DomainControlChannel.MaximumMessage + 1);
        await hostile.SendAsync(header, Cancellation);

        await Assert.ThrowsAsync<InvalidDataException>(() => rpc.Completion.WaitAsync(Cancellation));
        await Assert.ThrowsAsync<ConnectionLostException>(() => hello);
    }

    [Fact]
    public async Task Events_reach_xend()
    {
        await using ChannelPair pair = await ChannelPair.OpenAsync();
        pair.Process.Events.ShutDown(ShutdownReason.Watchdog);
        Assert.Equal(ShutdownReason.Watchdog, await pair.Events.ShutDownReason.Task.WaitAsync(Cancellation));
    }
}
