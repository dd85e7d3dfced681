using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Daemon.Domains;
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
    public async Task Counters_survive_the_wire()
    {
        await using ChannelPair pair = await ChannelPair.OpenAsync();
        DomainPerformance read = await pair.Domain.GetPerformanceAsync(Cancellation);
        Assert.Equivalent(pair.Process.Performance, read, strict: true);
    }

    /// <summary>Frozen: a domain process may be older or newer than xend, and xend than xm.</summary>
    [Fact]
    public void The_counters_message_is_what_the_other_side_expects() => Assert.Equal(
        """{"version":1,"domainId":7,"cpuEngine":"fake","uptimeNanoseconds":2000000000,"engine":["""
        + """{"name":"code-cache.bytes","kind":"level","value":4096}],"vcpus":["""
        + """{"id":0,"counters":[{"name":"instructions.translated","kind":"total","value":9223372036854775807}]}]}""",
        JsonSerializer.Serialize(new FakeDomainProcess(FakeDomainProcess.SampleSpec("")).Performance, ControlJson.Options));

    [Fact]
    public async Task A_domain_process_that_does_not_know_a_call_is_named_as_that()
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        string path = Path.Combine(Path.GetTempPath(), $"sh-{Guid.NewGuid():N}"[..16]);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Task<Socket> accepted = listener.AcceptAsync(Cancellation).AsTask();
        using DomainConnection connection = await DomainConnection.OpenAsync(path, Cancellation);
        File.Delete(path);
        NetworkStream stream = new(await accepted, ownsSocket: true);
        using JsonRpc old = new(new LengthHeaderMessageHandler(stream, stream, new SystemTextJsonFormatter { JsonSerializerOptions = ControlJson.Options }));
        old.StartListening();

        DomainFailureException e = await Assert.ThrowsAsync<DomainFailureException>(() =>
            connection.CallAsync((domain, token) => domain.GetPerformanceAsync(token), TimeSpan.FromMinutes(1), Cancellation));

        Assert.Equal((DomainFailureCode.NotSupported, "the domain process is of an older version and cannot do this"), (e.Failure.Code, e.Message));
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
