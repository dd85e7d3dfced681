using Shinano.Fuzzing;
using Shinano.Network.Frames;

namespace Shinano.Devices.Paravirtual.Tests.Network;

/// <summary>
/// A guest that writes random bytes over both rings while they are served, and a switch that goes on sending. docs/fuzzing.md.
/// </summary>
public sealed class HostileRingTests
{
    [Fact]
    public async Task The_interface_survives_random_bytes()
    {
        string[] features = ["feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6"];
        await using NetRig rig = await NetRig.CreateAsync(features);
        FuzzRun run = FuzzRun.Begin(least: 30);
        while (run.Next())
        {
            await ScribbleAsync(rig, run.Random);

            // A guest that broke its rings starts anew, as after a reset.
            rig.Store[$"{NetRig.Front}/state"] = "1";
            await rig.Store.UntilAsync($"{NetRig.Back}/state", "2", TestContext.Current.CancellationToken);
            Assert.Equal((0, 0), (rig.Guest.Mapped, rig.Guest.Ports));
            await rig.ConnectAsync(features);
            rig.Transmit(NetRig.Request(2, 0, 0, 1, 60));
            Assert.True((await rig.HearAsync()).Frame.Length == 60, run.Where);
            rig.Post(1);
            await rig.SendAsync(new byte[77]);
            Assert.True((await rig.ReceivedAsync(1))[0].Status == 77, run.Where);
        }
    }

    private static async Task ScribbleAsync(NetRig rig, Random random)
    {
        uint sent = Volatile.Read(ref rig.Word(0, 0));
        uint posted = Volatile.Read(ref rig.Word(1, 0));
        for (int i = 0; i < 100; i++)
        {
            switch (random.Next(12))
            {
                case 0:
                    random.NextBytes(rig.Guest.Page((uint)random.Next(2))[64..]);
                    break;
                case 1:
                    Volatile.Write(ref rig.Word((uint)random.Next(2), 4 * random.Next(1, 4)), (uint)random.NextInt64());
                    break;
                case 2 when random.Next(20) == 0:
                    Volatile.Write(ref rig.Word((uint)random.Next(2), 0), (uint)random.NextInt64());
                    break;
                case 3 or 4:
                    byte[] frame = new byte[random.Next(9000)];
                    random.NextBytes(frame);
                    bool isGso = random.Next(3) == 0;
                    await rig.SendAsync(frame, new FrameOffload(random.Next(2) == 0, random.Next(2) == 0, isGso ? GsoKind.TcpV6 : GsoKind.None, isGso ? (ushort)random.Next(1, 3000) : (ushort)0));
                    break;
                case 5 or 6:
                    for (int n = random.Next(8); n > 0; n--)
                    {
                        BitConverter.TryWriteBytes(rig.Guest.Page(1).Slice(64 + ((int)(posted++ % NetRig.RingSize) * 8) + 4, 4), random.Next(4, 70));
                    }

                    Volatile.Write(ref rig.Word(1, 0), posted);
                    break;
                default:
                    Plausible(rig, random).CopyTo(rig.Guest.Page(0)[(64 + ((int)(sent++ % NetRig.RingSize) * 12))..]);
                    Volatile.Write(ref rig.Word(0, 0), sent);
                    break;
            }

            rig.Guest.Send!();
        }
    }

    /// <summary>Near enough to a request to get past the first checks.</summary>
    private static byte[] Plausible(NetRig rig, Random random) => random.Next(8) switch
    {
        0 => NetRig.GsoExtra((ushort)random.Next(3000), (byte)random.Next(3), (byte)random.Next(2)),
        1 => NetRig.MulticastExtra((byte)random.Next(2, 5), new MacAddress((ulong)random.NextInt64(1L << 48))),
        _ => NetRig.Request((uint)random.Next(2, 70), random.Next(64), random.Next(10) == 0 ? random.Next(16) : random.Next(4), random.Next(65536), random.Next(5000)),
    };
}
