using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;
using Shinano.Fuzzing;

namespace Shinano.Devices.Paravirtual.Tests.Framebuffer;

/// <summary>A guest that writes random bytes over the rings of its framebuffer and its keyboard while they are served. docs/fuzzing.md.</summary>
public sealed class HostileRingTests
{
    [Fact]
    public async Task Framebuffer_and_keyboard_survive_random_bytes()
    {
        FuzzRun run = FuzzRun.Begin(least: 2000);
        await using FramebufferRig rig = new();
        await rig.StartAsync("4");
        await rig.StartKeyboardAsync(absolute: true);
        Action notifyKeyboard = rig.Guest.Send!;
        byte[] row = new byte[SurfaceMode.MaximumSide * 4];
        while (run.Next())
        {
            Random random = run.Random;
            random.NextBytes(rig.Shared[..16]);
            random.NextBytes(rig.Shared[2048..]);
            if (random.Next(2) == 0)
            {
                // A ring in order with events of known types.
                BinaryPrimitives.WriteUInt32LittleEndian(rig.Shared[12..], BinaryPrimitives.ReadUInt32LittleEndian(rig.Shared[8..]) + (uint)random.Next(60));
                for (int i = 0; i < 51; i++)
                {
                    rig.Shared[2048 + (40 * i)] = (byte)random.Next(1, 5);
                    BinaryPrimitives.WriteInt32LittleEndian(rig.Shared[(2048 + (40 * i) + 16)..], 32);
                    BinaryPrimitives.WriteInt32LittleEndian(rig.Shared[(2048 + (40 * i) + 4)..], random.Next(1, 100));
                    BinaryPrimitives.WriteInt32LittleEndian(rig.Shared[(2048 + (40 * i) + 8)..], random.Next(1, 100));
                    BinaryPrimitives.WriteInt32LittleEndian(rig.Shared[(2048 + (40 * i) + 12)..], random.Next(-5, 500));
                    BinaryPrimitives.WriteInt32LittleEndian(rig.Shared[(2048 + (40 * i) + 20)..], random.Next(-5, 40000));
                }
            }

            random.NextBytes(rig.Guest.Page(FramebufferRig.KeyboardPage));
            rig.Surface.SetViewers(run.Rounds & 1);
            notifyKeyboard();
            rig.Input.Key(random.Next(600), true);
            rig.Input.Pointer(random.Next(), random.Next(), random.Next(256));
            SurfaceMode mode = rig.Surface.Mode;
            _ = rig.Surface.TryCopyRow(mode, 0, mode.Height - 1, row.AsSpan(0, mode.Width * mode.Format.BytesPerPixel));
        }

        // The devices are as they were, and serve a front end that behaves.
        Assert.True(rig.State("vfb") == "4" && rig.State("vkbd") == "4", run.Where);
        rig.Guest.Page(FramebufferRig.KeyboardPage).Clear();
        while (rig.TakeKeyboard().Count > 0 | NotifyAndLook())
        {
        }

        rig.Input.Key(30, true);
        Assert.True(rig.TakeKeyboard() is [[3, 1, 30, 0, 0]], run.Where);

        bool NotifyAndLook()
        {
            notifyKeyboard();
            return BinaryPrimitives.ReadUInt32LittleEndian(rig.Guest.Page(FramebufferRig.KeyboardPage)) != BinaryPrimitives.ReadUInt32LittleEndian(rig.Guest.Page(FramebufferRig.KeyboardPage)[4..]);
        }
    }
}
