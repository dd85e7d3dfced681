using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Saving;
using Shinano.SavedState;

namespace Shinano.Control.Tests;

/// <summary>Streams that no xend sends: each is refused by its name, and leaves nothing at the target.</summary>
public sealed class MigrationStreamTests
{
    private const string Transfer = "11111111-2222-3333-4444-555555555555";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static byte[] Offer => Encoding.UTF8.GetBytes($"{{\"transfer\":\"{Transfer}\",\"live\":false}}");

    [Fact]
    public async Task Each_kind_of_broken_stream_has_its_name_and_leaves_nothing()
    {
        await using TestHome home = await TestHome.StartAsync();
        byte[] description = await DescribeAsync(home);
        byte[] whole = Whole(description);
        int stateAt = whole.AsSpan().IndexOf("MACH"u8);
        foreach ((byte[] stream, DomainFailureCode code, string message) in ((byte[], DomainFailureCode, string)[])
        [
            ("GET / HTTP/1.1\r\n\r\n"u8.ToArray(), DomainFailureCode.NotAMigration, "not a migration"),
            ([.. "SHINSAVE"u8, .. whole.AsSpan(8)], DomainFailureCode.NotAMigration, "not a migration"),
            ([.. whole.AsSpan(0, 8), 7, .. whole.AsSpan(9)], DomainFailureCode.MigrationVersion, "version 7"),
            ([.. whole.AsSpan(0, 12), 1, .. whole.AsSpan(13)], DomainFailureCode.MigrationDamaged, "header"),
            (whole[..20], DomainFailureCode.MigrationBroken, "ends in section"),
            (whole[..(stateAt + 3)], DomainFailureCode.MigrationBroken, "ends in section"),
            (Flipped(whole, stateAt + 17), DomainFailureCode.MigrationDamaged, "checksum"),
            (Flipped(whole, stateAt + 4), DomainFailureCode.MigrationDamaged, "no known kind or length"),
            (Flipped(whole, stateAt + 14), DomainFailureCode.MigrationDamaged, "no known kind or length"),
            (Sections((SectionKind.Go, [])), DomainFailureCode.MigrationSenseless, "Go where Offer should be"),
            (Sections((SectionKind.Offer, "{}"u8.ToArray()), (SectionKind.Offer, Offer)), DomainFailureCode.MigrationSenseless, "Offer where Description"),
            (Sections((SectionKind.Offer, "[1"u8.ToArray())), DomainFailureCode.MigrationSenseless, "cannot be read"),
            (Sections((SectionKind.Offer, Offer), (SectionKind.Description, "{}"u8.ToArray())), DomainFailureCode.MigrationSenseless, "missing required properties"),
            (Begun(description, (SectionKind.Ready, [])), DomainFailureCode.MigrationSenseless, "Ready where the domain's state"),
            (Begun(description, (SectionKind.Last, [])), DomainFailureCode.MigrationSenseless, "Last where the domain's state"),
            (Begun(description, (SectionKind.Description, description), (SectionKind.Description, description)), DomainFailureCode.MigrationSenseless, "Description where"),
            (Begun(description, (SectionKind.Description, Other(description))), DomainFailureCode.MigrationSenseless, "another domain came"),
            (Begun(description, (SectionKind.Description, description), (SectionKind.Last, [])), DomainFailureCode.MigrationSenseless, "no double has such a state"),
            (Begun(description, (SectionKind.Description, description), (SectionKind.Machine, "!"u8.ToArray()), (SectionKind.Last, [])), DomainFailureCode.MigrationSenseless, "no double"),
            ([.. whole, .. Sections((SectionKind.Done, []))[16..]], DomainFailureCode.MigrationSenseless, "Done where Go should be"),
        ])
        {
            DomainFailure failure = await SendAsync(home, stream);
            Assert.True(failure.Code == code && failure.Message.Contains(message, StringComparison.Ordinal), $"{code} '{message}' expected, {failure}");
            await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
        }
    }

    [Fact]
    public async Task A_question_drops_a_transfer_that_waits_and_is_answered_the_same_ever_after()
    {
        await using TestHome home = await TestHome.StartAsync();
        byte[] whole = Whole(await DescribeAsync(home));
        using Socket waiting = await ConnectAsync(home);
        await waiting.SendAsync(whole, Cancellation);
        SectionReader answers = new(new NetworkStream(waiting), SectionFormat.Migration);
        await Task.Run(() => Assert.Equal([SectionKind.Accept, SectionKind.Ready], [answers.Read(out _), answers.Read(out _)]), Cancellation);
        Assert.False(await AskAsync(home));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));

        // The word comes too late.
        try
        {
            await waiting.SendAsync(Sections((SectionKind.Go, []))[16..], Cancellation);
        }
        catch (SocketException)
        {
            // As it should.
        }

        Assert.False(await AskAsync(home));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_transfer_is_taken_once()
    {
        await using TestHome home = await TestHome.StartAsync();
        byte[] whole = Whole(await DescribeAsync(home));
        using Socket sender = await ConnectAsync(home);
        await sender.SendAsync(whole, Cancellation);
        SectionReader answers = new(new NetworkStream(sender), SectionFormat.Migration);
        await Task.Run(() => Assert.Equal([SectionKind.Accept, SectionKind.Ready], [answers.Read(out _), answers.Read(out _)]), Cancellation);
        await sender.SendAsync(Sections((SectionKind.Go, []))[16..], Cancellation);
        await Task.Run(() => Assert.Equal(SectionKind.Done, answers.Read(out _)), Cancellation);
        Assert.True(await AskAsync(home));
        Assert.Equal(DomainStates.Blocked, (await home.Client.DescribeAsync("a", Cancellation)).Summary.State);
        await home.Client.DestroyAsync("a", Cancellation);
        Assert.True(await AskAsync(home));
        Assert.Contains("second time", (await SendAsync(home, whole)).Message, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    /// <summary>Bytes of xend's own description of a domain that is gone again.</summary>
    private static async Task<byte[]> DescribeAsync(TestHome home)
    {
        await home.CreateAsync("a");
        string saved = Path.Combine(home.Directory, "a.save");
        await home.Client.SaveAsync("a", new SaveRequest(saved, false, false), Cancellation);
        return SavedDescription.ReadFile(saved).ToBytes();
    }

    private static byte[] Whole(byte[] description) => Begun(
        description,
        (SectionKind.Head, "a double"u8.ToArray()),
        (SectionKind.Description, description),
        (SectionKind.Machine, "state"u8.ToArray()),
        (SectionKind.Last, []));

    private static byte[] Begun(byte[] description, params (SectionKind, byte[])[] more) =>
        Sections([(SectionKind.Offer, Offer), (SectionKind.Description, description), .. more]);

    private static byte[] Sections(params (SectionKind Kind, byte[] Payload)[] sections)
    {
        using MemoryStream stream = new();
        SectionWriter writer = new(stream, SectionFormat.Migration);
        foreach ((SectionKind kind, byte[] payload) in sections)
        {
            writer.Write(kind, payload);
        }

        return stream.ToArray();
    }

    private static byte[] Flipped(byte[] stream, int at)
    {
        byte[] flipped = [.. stream];
        flipped[at] ^= 0xFF;
        return flipped;
    }

    private static byte[] Other(byte[] description) =>
        Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(description).Replace("\"name\":\"a\"", "\"name\":\"b\"", StringComparison.Ordinal));

    private static async Task<Socket> ConnectAsync(TestHome home)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(home.Paths.MigrationSocket), Cancellation);
        return socket;
    }

    /// <summary>Sends a stream and its end, and returns the refusal.</summary>
    private static async Task<DomainFailure> SendAsync(TestHome home, byte[] stream)
    {
        using Socket socket = await ConnectAsync(home);
        await using NetworkStream connection = new(socket);
        try
        {
            await socket.SendAsync(stream, Cancellation);
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Refused before it was all sent.
        }

        return await Task.Run(() =>
        {
            SectionReader answers = new(connection, SectionFormat.Migration);
            while (true)
            {
                if (answers.Read(out byte[] payload) == SectionKind.Refuse)
                {
                    return JsonSerializer.Deserialize<DomainFailure>(payload, ControlJson.Options)!;
                }
            }
        });
    }

    private static async Task<bool> AskAsync(TestHome home)
    {
        using Socket socket = await ConnectAsync(home);
        await socket.SendAsync(Sections((SectionKind.Ask, Encoding.UTF8.GetBytes($"{{\"transfer\":\"{Transfer}\"}}"))), Cancellation);
        return await Task.Run(() =>
        {
            Assert.Equal(SectionKind.Told, new SectionReader(new NetworkStream(socket), SectionFormat.Migration).Read(out byte[] payload));
            return JsonSerializer.Deserialize<JsonElement>(payload).GetProperty("taken").GetBoolean();
        });
    }
}
