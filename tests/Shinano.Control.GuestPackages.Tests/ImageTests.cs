using Shinano.Control.GuestPackages.Images;

namespace Shinano.Control.GuestPackages.Tests;

public sealed class ImageTests
{
    [Fact]
    public async Task A_disk_has_one_partition_and_holes_where_the_file_system_has_zeroes()
    {
        byte[] fileSystem = new byte[3 << 20];
        Random.Shared.NextBytes(fileSystem.AsSpan(1 << 20, 70000));
        string path = Path.Combine(Path.GetTempPath(), $"disk{Guid.NewGuid():N}");
        try
        {
            await using (FileStream disk = new(path, FileMode.CreateNew))
            {
                await PartitionedDisk.WriteAsync(disk, 4, new MemoryStream(fileSystem), _ => { }, TestContext.Current.CancellationToken);
            }

            byte[] all = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
            Assert.Equal(4 << 20, all.Length);
            Assert.Equal("80feffff83feffff0008000000180000", Convert.ToHexStringLower(all.AsSpan(446, 16)));
            Assert.Equal([0x55, 0xaa], all[510..512]);
            Assert.True(all.AsSpan(1 << 20).SequenceEqual(fileSystem));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(2 << 20)]
    [InlineData(4 << 20)]
    public async Task A_file_system_of_another_size_is_refused(int length)
    {
        string path = Path.Combine(Path.GetTempPath(), $"disk{Guid.NewGuid():N}");
        await using FileStream disk = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 4096, FileOptions.DeleteOnClose);
        await Assert.ThrowsAsync<InvalidDataException>(() =>
            PartitionedDisk.WriteAsync(disk, 4, new MemoryStream(new byte[length]), _ => { }, TestContext.Current.CancellationToken));
    }

    public static TheoryData<ImageRecipe, string> Faults => new()
    {
        { new ImageRecipe { Mebibytes = 10 }, "a size of 10 MiB" },
        { new ImageRecipe { Suite = "--help" }, "no suite" },
        { new ImageRecipe { Packages = ["vim", "-x"] }, "'-x' is no package" },
        { new ImageRecipe { Packages = ["a,b"] }, "'a,b' is no package" },
        { new ImageRecipe { HostName = "a b" }, "no host name" },
        { new ImageRecipe { Mirror = "nowhere" }, "no address of a mirror" },
        { new ImageRecipe { RootPassword = "a\nb" }, "one line each" },
        { new ImageRecipe { SshKeys = ["ssh-ed25519 AAAAC3Nz me\nssh-rsa AAAA"] }, "one line each" },
        { new ImageRecipe { SshKeys = ["-----BEGIN OPENSSH PRIVATE KEY-----"] }, "'-----BEGIN OPENSSH PRIVATE KEY-----' is no public key" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task What_cannot_be_made_is_named(ImageRecipe recipe, string words)
    {
        InvalidOperationException e = await Assert.ThrowsAsync<InvalidOperationException>(() =>
            new ImageMaker(Path.GetTempPath()).MakeAsync(recipe, "/nowhere", null, TestContext.Current.CancellationToken));
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trees_are_shared_by_what_differs_in_sizes_names_passwords_and_keys_only()
    {
        ImageRecipe recipe = new();
        Assert.Equal(recipe.Key([]), (recipe with { Mebibytes = 9000, HostName = "web", RootPassword = "x", SshKeys = ["ssh-ed25519 AAAA"], KernelOptions = "quiet" }).Key([]));
        Assert.NotEqual(recipe.Key([]), (recipe with { Packages = ["vim"] }).Key([]));
        Assert.NotEqual(recipe.Key([]), (recipe with { Suite = "trixie" }).Key([]));
        Assert.NotEqual(recipe.Key(["a"]), recipe.Key(["b"]));
    }
}
